"""Stage 2: which precisions go on. Speed costs seconds and accuracy minutes, so the fastest are asked first."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import asdict
from typing import Any

from bento_monitor.errors import BentoMonitorError
from bento_monitor.releases.record import Execution

from ..accuracy.compare import compare_accuracy
from ..errors import StudyInputError, first_line
from ..search_space.executions import typical_execution
from ..study_spec import StudySpec
from .workbench import Kind, Workbench

# A served candidate may lose part of its lead to the server, never all of it: what is slower than this is not served.
KEEP_RATIO = 0.6
OnStep = Callable[[str], None]


def screen(bench: Workbench, kinds: Sequence[Kind], cores: int, on_step: OnStep) -> dict[str, Any]:
    """Race a typical execution of each precision, then measure accuracy in order of speed.

    A precision is accepted if the upper 95 % bound of its drop is within the tolerance. Those that are slower than
    `KEEP_RATIO` of an accepted one are not asked. Gives, by precision, the verdict with its figures or the error.
    """
    bench.baseline_answers()
    on_step(f"baseline answered {bench.subject.count} samples")
    mask = bench.subject.subject.interface.mask_input
    verdicts: dict[str, Any] = {}
    built = []
    for kind in kinds:
        execution = typical_execution(*kind, cores, mask)
        try:
            bench.artifact(execution)
            built.append(execution)
        except StudyInputError:
            raise
        except BentoMonitorError as error:
            verdicts[_key(execution)] = {"accepted": False, "error": first_line(error)}
            on_step(f"{_key(execution)}: {first_line(error)}")
    if not built:
        return verdicts
    speeds = bench.speeds(built)
    fastest_accepted = 0.0
    for execution in sorted(built, key=lambda run: speeds[run], reverse=True):
        verdict = {"accepted": False, "samples_per_s": speeds[execution]}
        if speeds[execution] >= KEEP_RATIO * fastest_accepted:
            verdict |= _ask(bench, execution, on_step, speeds[execution])
        else:
            on_step(f"{_key(execution)}: {speeds[execution]:.0f} samples/s, too slow to be asked")
        if verdict["accepted"]:
            fastest_accepted = max(fastest_accepted, speeds[execution])
        verdicts[_key(execution)] = verdict
    return verdicts


def accepted_drops(kinds: Sequence[Kind], verdicts: dict[str, Any]) -> dict[Kind, float]:
    """The precisions that go on, each with the upper bound of its drop."""
    by_kind = {kind: verdicts[f"{kind[0]} {kind[1]}"] for kind in kinds}
    return {kind: found["accuracy"]["drop_upper95"] for kind, found in by_kind.items() if found["accepted"]}


def why_none_accepted(verdicts: dict[str, Any], spec: StudySpec) -> str:
    """What happened to each precision, where none goes on."""
    reasons = []
    for name, found in verdicts.items():
        if "accuracy" in found:
            reasons.append(f"{name}: {spec.metric} drops by at most {found['accuracy']['drop_upper95']:.4f}")
        elif "error" in found:
            reasons.append(f"{name}: {found['error'].rstrip('.')}")
    lost = any("accuracy" in found for found in verdicts.values())
    advice = f" Allow more than --max-drop {spec.max_drop}, or give more data." if lost else ""
    return f"No precision can be released. {'; '.join(reasons)}.{advice}"


def _ask(bench: Workbench, execution: Execution, on_step: OnStep, speed: float) -> dict[str, Any]:
    try:
        answers = bench.answers_in(execution)
        result = compare_accuracy(bench.baseline_answers(), answers, bench.subject.labels, bench.subject.metric)
    except StudyInputError as error:  # a NaN of its own is the candidate's fault, not the data's
        on_step(f"{_key(execution)}: {first_line(error)}")
        return {"accepted": False, "error": first_line(error)}
    accepted = result.drop_upper95 <= bench.spec.max_drop
    verdict = "accepted" if accepted else "refused"
    drop = f"{bench.spec.metric} {result.candidate:.4f}, drop at most {result.drop_upper95:+.4f}"
    on_step(f"{_key(execution)}: {speed:.0f} samples/s, {drop}: {verdict}")
    return {"accepted": accepted, "accuracy": asdict(result)}


def _key(execution: Execution) -> str:
    return f"{execution.backend} {execution.precision}"
