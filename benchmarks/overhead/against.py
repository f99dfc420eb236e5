"""The CPU time of a request at 0 % sampling, compared with that of another commit of ours."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace

from result import Figure, write_result
from served.arms import AGAINST, OURS, start_arms
from served.blocks import Plan, Samples, measure
from served.check import plain_workload
from served.figures import compare, cpu_added, total_figures
from served.sections import raw_of

# Nothing is sampled, which the caller's flags also say.
_SAMPLED_AT_0 = {"OTEL_TRACES_SAMPLER": "parentbased_traceidratio", "OTEL_TRACES_SAMPLER_ARG": "0"}
_CALLER = (
    ("traceparent", "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-00"),
    ("baggage", "tenant=acme,tier=gold"),
)
_HALF_WIDTH_US = 1.5
_HALF_WIDTH_RATIO = 0.015
_SAME = (0.97, 1.03)
_MAX_BLOCKS = 150


@dataclass(frozen=True, slots=True)
class _Case:
    """A workload, and its figures, each with the half-width of its interval at which blocks end."""

    workload: str
    headers: tuple[tuple[str, str], ...]
    figures: Mapping[str, tuple[Callable[[Samples], Figure], float]]


def _added(goal_us: float) -> tuple[Callable[[Samples], Figure], float]:
    return lambda samples: cpu_added(samples, OURS, AGAINST, goal_us), _HALF_WIDTH_US


def _ratio(samples: Samples) -> Figure:
    found = compare(samples, OURS, AGAINST, lambda sample: sample.block.cpu_us)
    is_met = found.ci95 is not None and _SAME[0] <= found.ci95[0] and found.ci95[1] <= _SAME[1]
    return replace(found, goal=f"interval within [{_SAME[0]:g}, {_SAME[1]:g}]", met=is_met)


_RATIO = (_ratio, _HALF_WIDTH_RATIO)
CASES = {
    "noop": _Case("noop", (), {"cpu_us_over_against_noop": _added(3.0), "cpu_ratio_against_noop": _RATIO}),
    "noop_headers": _Case("noop", _CALLER, {"cpu_us_over_against_noop_headers": _added(12.0)}),
    "5ms": _Case("model_5ms", (), {"cpu_ratio_against_5ms": _RATIO}),
}


def measure_against(commit: str, plan: Plan, names: Sequence[str]) -> dict[str, Figure]:
    """Measure the cases of these names. Blocks are added until each interval is narrow enough."""
    environments = dict.fromkeys((OURS, AGAINST), _SAMPLED_AT_0)
    figures: dict[str, Figure] = {}
    found: dict[str, Samples] = {}
    with start_arms([OURS, AGAINST], environments=environments, against=commit) as arms:
        for name in names:
            case = CASES[name]
            workload = replace(plain_workload(case.workload), headers=case.headers)
            samples: Samples = {OURS: [], AGAINST: []}
            found[name] = samples
            while len(samples[OURS]) < _MAX_BLOCKS:
                for arm, blocks in measure(arms, workload, plan).items():
                    samples[arm] += blocks
                measured = {key: figure(samples) for key, (figure, _) in case.figures.items()}
                for key, figure in measured.items():
                    pairs = len(samples[OURS])
                    print(f"{key}: {figure.value:.4g} {figure.unit}, {figure.ci95}, {pairs} pairs", flush=True)
                if all(_is_narrow(measured[key], width) for key, (_, width) in case.figures.items()):
                    break
            figures |= measured
    raw = raw_of(found)
    figures |= {"failed_blocks": total_figures({"blocks": raw})["failed_blocks"]}
    write_result("against", figures, {"against": commit, **raw})
    return figures


def _is_narrow(figure: Figure, half_width: float) -> bool:
    return figure.ci95 is not None and figure.ci95[1] - figure.ci95[0] <= 2 * half_width
