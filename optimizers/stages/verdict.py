"""Whether a proof allows a release, and if not, why."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Literal

from bento_monitor.lab.loadgen.slo import Slo

from .harm import MAX_ALONE_RATIO, MAX_HALF_LOAD_RATIO

Reason = Literal["slower", "not told apart", "noisy machine", "slo", "failures", "alone", "half load"]


@dataclass(frozen=True, slots=True)
class Rejection:
    """Why nothing is released: a keyword for programs and a sentence for people."""

    reason: Reason
    sentence: str


def verdict_of(proof: Mapping[str, Any], *, slo: Slo | None, allow_slower_alone: bool) -> Rejection | None:
    """Judge a proof as returned by `proof_record`; return None if the winner may be released."""
    return _slower(proof) or _failures(proof) or _over_slo(proof, slo) or (None if allow_slower_alone else _harm(proof))


def _slower(proof: Mapping[str, Any]) -> Rejection | None:
    low, high = proof["speedup_ci95"]
    aa_low, aa_high = proof["aa_ratio_ci95"]
    found = f"{proof['speedup']:.2f} times the baseline, 95 % interval [{low:.2f}, {high:.2f}]"
    if high < 1:
        return Rejection("slower", f"The fastest candidate is slower: {found}. Nothing was released.")
    if low <= 1:
        return Rejection(
            "not told apart",
            f"The fastest candidate cannot be distinguished from the baseline: {found}. Nothing was released; more "
            "--blocks would narrow the interval.",
        )
    if low <= aa_high:
        return Rejection(
            "noisy machine",
            f"The machine is too noisy now: the baseline measured against itself gives an interval of [{aa_low:.2f}, "
            f"{aa_high:.2f}], which overlaps that of the fastest candidate, {found}. Nothing was released; measure at "
            "a quieter time, or with more --blocks.",
        )
    return None


def _failures(proof: Mapping[str, Any]) -> Rejection | None:
    failed, baseline_failed = proof["optimized_failed"], proof["baseline_failed"]
    if failed <= baseline_failed:
        return None
    return Rejection(
        "failures",
        f"{failed} of {proof['optimized_harm_requests']} requests of a lone client and of an open load at half of the "
        f"baseline's rate failed, but only {baseline_failed} of the baseline's. Nothing was released.",
    )


def _over_slo(proof: Mapping[str, Any], slo: Slo | None) -> Rejection | None:
    in_time = proof["slo_in_time_ratio"]
    if slo is None or in_time is None or 100 * in_time >= slo.percentile:
        return None
    return Rejection(
        "slo",
        f"The fastest candidate breaks --slo {slo} under the load: {in_time:.2%} of its requests were answered in "
        f"time, and the median p{slo.percentile:g} of its blocks was {proof['slo_percentile_ms']:.1f} ms. Nothing was "
        "released; allow more latency, or reduce --connections.",
    )


def _harm(proof: Mapping[str, Any]) -> Rejection | None:
    return _harm_of(
        proof, "alone", "alone_p50", MAX_ALONE_RATIO, "A lone client's median latency", "alone"
    ) or _harm_of(
        proof,
        "half load",
        f"half_load_p{proof['half_load_percentile']}",
        MAX_HALF_LOAD_RATIO,
        f"The p{proof['half_load_percentile']} of an open load",
        f"at {proof['half_load_rps']:.1f} requests/s, half of the baseline's closed rate",
    )


def _harm_of(
    proof: Mapping[str, Any], reason: Literal["alone", "half load"], name: str, most: float, what: str, where: str
) -> Rejection | None:
    low, high = proof[f"{name}_ratio_ci95"]
    if high <= most:
        return None
    found = (
        f"{proof[f'optimized_{name}_ms']:.1f} ms against the baseline's {proof[f'baseline_{name}_ms']:.1f} ms "
        f"({proof[f'{name}_ratio']:.2f} times, 95 % interval [{low:.2f}, {high:.2f}])"
    )
    verb = "is longer" if low > most else f"is not shown to be at most {most:.2f} times as long"
    place = "" if reason == "alone" else f" {where}"
    return Rejection(
        reason,
        f"{what}{place} {verb}: {found} after {proof['harm_blocks']} blocks, although the winner serves "
        f"{proof['speedup']:.2f} times the requests under full load. Nothing was released; pass --allow-slower-alone "
        "to release it.",
    )
