"""What a profile says in words, in the table and on the page alike."""

from __future__ import annotations

from collections.abc import Sequence

from ...loadgen.slo_search import SloSearch
from ..profile_record import LoadPoint, Percentile, Profile, StandaloneProfile

# Of the best batch's rate: what smaller batches cost is not worth a word from there on.
_AS_GOOD = 0.9
_NEARLY_ALL = 0.85


def latency_text(found: Percentile, decimals: int) -> str:
    """A percentile with its upper bound, or marked where it has none."""
    if found.high_ms is None:
        return f"~{found.value_ms:.{decimals}f}"
    return f"{found.value_ms:.{decimals}f} ≤{found.high_ms:.{decimals}f}"


def watching_text(profile: Profile) -> str:
    """What watching cost; nothing where nobody watched."""
    return "" if profile.watching_us is None else f"; watching takes {profile.watching_us:.1f} us of each request"


def gpu_texts(point: LoadPoint) -> list[str]:
    """What each GPU did under a load, and what that took for a request; nothing without one."""
    lines = [
        f"{gpu.name} with {point.name}: "
        f"busy {gpu.utilization:.0%}, {gpu.memory_bytes / 2**20:.0f} MiB, {gpu.power_w:.0f} W"
        for gpu in point.gpus
    ]
    if point.gpu_ms_per_request is not None:
        lines.append(f"They compute {point.gpu_ms_per_request:.3f} ms for a request.")
    if point.energy_mj_per_request is not None:
        lines.append(f"Their energy for a request: {point.energy_mj_per_request:.1f} mJ.")
    return lines


def product_text(standalone: StandaloneProfile) -> str:
    """The product of matrices that the function is held against."""
    return "a matrix product" if standalone.computes_in is None else f"a matrix product in {standalone.computes_in}"


def operators_text(standalone: StandaloneProfile) -> str:
    """Of what the shares of its operators are shares."""
    return "Its time inside torch and ONNX Runtime" if standalone.computes_in is None else "Its time on the GPU"


def share_text(profile: Profile, standalone: StandaloneProfile) -> str:
    """What a service makes of its function alone, in that one's best batches and, where that is less, in its own."""
    rate_rps, size = profile.capacity.throughput_rps, profile.capacity.batch_size
    text = (
        f"in batches of {standalone.best.batch_size}: it is served at {rate_rps / standalone.items_per_s:.0%} of that"
    )
    items_per_s = standalone.items_per_s if size is None else standalone.items_per_s_in(size)
    if items_per_s > _AS_GOOD * standalone.items_per_s:
        return text
    own = f"{rate_rps / items_per_s:.0%} of the {items_per_s:.0f} that it makes in batches of {size:.1f}"
    return f"{text}, and at {own}, as they are served"


def error_texts(points: Sequence[LoadPoint]) -> list[str]:
    """What failed under each load, by its kind."""
    return [
        f"Failed with {point.name}: " + ", ".join(f"{count} of {kind}" for kind, count in point.errors.items()) + "."
        for point in points
        if point.errors
    ]


def slo_text(found: SloSearch) -> str:
    """In one sentence, up to which rate the promise was shown to be kept."""
    if found.rate_rps is None:
        lowest = found.trials[0]
        bound = "failures are in it" if lowest.high_ms is None else f"its bound is {lowest.high_ms:.1f} ms"
        return f"{found.slo} is not kept at {lowest.rate_rps:.0f} requests/s: {bound}."
    return f"{found.slo} is kept up to {found.rate_rps:.0f} requests/s (tried at {len(found.trials)} rates)."


def limit_of(profile: Profile) -> tuple[str, str]:
    """What a service without a finding runs into at its capacity, and what shows it."""
    most, standalone = profile.capacity, profile.standalone
    if standalone is not None:
        share = most.throughput_rps / standalone.items_per_s_in(most.batch_size or 1.0)
        if share >= _NEARLY_ALL:
            return "its own function", f"it is served at {share:.0%} of what that makes alone, in the same batches"
    if most.server is not None and most.machine.idle_cores <= (1 - _NEARLY_ALL) * most.machine.cores:
        used = f"the server takes {most.server.cpu_cores:.1f} of {most.machine.cores} cores"
        return "the processors", f"{used}, and {most.machine.idle_cores:.1f} are idle"
    return "nothing that is known here", "no rule applies"
