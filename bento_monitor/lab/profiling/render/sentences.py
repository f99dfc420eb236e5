"""Sentences about a profile, used by the terminal output and the HTML page."""

from __future__ import annotations

from collections.abc import Sequence

from ...loadgen.slo_search import SloSearch
from ..profile_record import LoadPoint, Percentile, Profile, StandaloneProfile

# At this share of the best batch size's rate, the cost of smaller batches is not reported.
_AS_GOOD = 0.9
_NEARLY_ALL = 0.85


def latency_text(found: Percentile, decimals: int) -> str:
    """Return a percentile with its upper bound, or marked with ~ if there are too few requests for a bound."""
    if found.high_ms is None:
        return f"~{found.value_ms:.{decimals}f}"
    return f"{found.value_ms:.{decimals}f} ≤{found.high_ms:.{decimals}f}"


def probe_text(profile: Profile) -> str:
    """Return the probe's overhead; empty if there was no probe."""
    return "" if profile.watching_us is None else f"; probe overhead {profile.watching_us:.1f} us per request"


def gpu_texts(point: LoadPoint) -> list[str]:
    """Return the use of each GPU under a load, and the GPU time and energy per request; empty without a GPU."""
    lines = [
        f"{gpu.name} with {point.name}: "
        f"busy {gpu.utilization:.0%}, {gpu.memory_bytes / 2**20:.0f} MiB, {gpu.power_w:.0f} W"
        for gpu in point.gpus
    ]
    if point.gpu_ms_per_request is not None:
        lines.append(f"GPU time per request: {point.gpu_ms_per_request:.3f} ms.")
    if point.energy_mj_per_request is not None:
        lines.append(f"GPU energy per request: {point.energy_mj_per_request:.1f} mJ.")
    return lines


def product_text(standalone: StandaloneProfile) -> str:
    """Return the name of the matrix product with which the function is compared."""
    return "a matrix product" if standalone.computes_in is None else f"a matrix product in {standalone.computes_in}"


def operators_text(standalone: StandaloneProfile) -> str:
    """Return the name of the total of which the operators' shares are shares."""
    return "Time in torch and ONNX Runtime" if standalone.computes_in is None else "Time on the GPU"


def share_text(profile: Profile, standalone: StandaloneProfile) -> str:
    """Return the service's share of its standalone function's rate, in the best batch size and in the served one.

    The served batch size is added if it is notably slower. Served and standalone rates were measured one after the
    other: on a busy machine, the share varies.
    """
    rate_rps, size = profile.capacity.throughput_rps, profile.capacity.batch_size
    share = rate_rps / standalone.items_per_s
    text = f"in batches of {standalone.best.batch_size}; the service reaches {share:.0%} of that"
    items_per_s = standalone.items_per_s if size is None else standalone.items_per_s_in(size)
    if items_per_s > _AS_GOOD * standalone.items_per_s:
        return text
    served = f"{rate_rps / items_per_s:.0%} of the {items_per_s:.0f} items/s in batches of {size:.1f}"
    return f"{text}, and {served}, the mean batch size when served"


def error_texts(points: Sequence[LoadPoint]) -> list[str]:
    """Return the failures of each load, by kind."""
    return [
        f"Failed with {point.name}: " + ", ".join(f"{count} of {kind}" for kind, count in point.errors.items()) + "."
        for point in points
        if point.errors
    ]


def slo_text(found: SloSearch) -> str:
    """Return a sentence on the highest rate that was shown to meet the SLO."""
    if found.rate_rps is None:
        lowest = found.trials[0]
        bound = "requests failed" if lowest.high_ms is None else f"the upper bound is {lowest.high_ms:.1f} ms"
        return f"{found.slo} is not met at {lowest.rate_rps:.0f} requests/s: {bound}."
    return f"{found.slo} is met up to {found.rate_rps:.0f} requests/s (tried at {len(found.trials)} rates)."


def bottleneck_of(profile: Profile) -> tuple[str, str]:
    """Return the bottleneck of a service without findings at its capacity, and the evidence."""
    most, standalone = profile.capacity, profile.standalone
    if standalone is not None:
        share = most.throughput_rps / standalone.items_per_s_in(most.batch_size or 1.0)
        if share >= _NEARLY_ALL:
            return "the API function", f"the service reaches {share:.0%} of the standalone rate in the same batches"
    if most.server is not None and most.machine.idle_cores <= (1 - _NEARLY_ALL) * most.machine.cores:
        used = f"the server uses {most.server.cpu_cores:.1f} of {most.machine.cores} cores"
        return "CPU cores", f"{used}, and {most.machine.idle_cores:.1f} are idle"
    return "unknown", "no rule applies"
