"""Stage 2: which precisions are accepted. Speed takes seconds to measure and accuracy minutes, so speed comes first."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

from bento_monitor.errors import BentoMonitorError, ReleaseError, ServiceError
from bento_monitor.serving_config import Execution

from ..errors import StudyInputError, first_line
from ..search_space.executions import is_exact, typical_execution
from ..study_spec import StudySpec
from .speeds import speed_words, speeds_of
from .workbench import Kind, Workbench
from .yardstick import ALPHA

# Executions slower than this share of the fastest are not served: the server reduces a lead, but never all of it, and
# hardly that of a model which takes over 50 ms for a sample.
_KEEP_RATIO, _SLOW_KEEP_RATIO = 0.6, 0.85
_SLOW_SAMPLES_PER_S = 20.0
OnStep = Callable[[str], None]


def screen(bench: Workbench, kinds: Sequence[Kind], cores: int, on_step: OnStep, on_note: OnStep) -> dict[str, Any]:
    """Race a typical execution of each precision, then measure accuracy on the samples to choose on, the fastest first.

    A precision is accepted if the upper 95 % bound of its drop is within the tolerance. The accuracy of a precision
    much slower than an accepted one (`keep_ratio`) is not measured, except that of the fastest one with unchanged
    weights, the reserve. Return the verdict in words or the error, by precision.
    """
    for note in bench.yardstick().notes:
        on_note(note)
    on_step(f"the baseline answered {bench.subject.count} samples")
    mask = bench.subject.subject.interface.mask_input
    verdicts: dict[str, Any] = {}

    def refuse(execution: Execution, error: BentoMonitorError) -> None:
        verdicts[_key(execution)] = {"accepted": False, "error": first_line(error)}
        on_step(f"{_key(execution)}: {first_line(error)}")

    built = []
    for kind in kinds:
        execution = typical_execution(*kind, cores, mask)
        try:
            bench.artifact(execution)
            built.append(execution)
        except StudyInputError:
            raise
        except BentoMonitorError as error:
            refuse(execution, error)
    speeds = speeds_of(bench, built, refuse)
    fastest_accepted, has_reserve = 0.0, False
    for execution in sorted(speeds, key=lambda run: speeds[run], reverse=True):
        verdict = {"accepted": False, "samples_per_s": speeds[execution]}
        is_reserve = is_exact(execution.precision) and not has_reserve
        if is_reserve or speeds[execution] >= keep_ratio(fastest_accepted) * fastest_accepted:
            verdict |= _accuracy_verdict(bench, execution, on_step, speeds[execution])
        else:
            on_step(f"{_key(execution)}: {speed_words(speeds[execution])}, too slow: accuracy not measured")
        if verdict["accepted"]:
            fastest_accepted = max(fastest_accepted, speeds[execution])
            has_reserve |= is_exact(execution.precision)
        verdicts[_key(execution)] = verdict
    return verdicts


def keep_ratio(samples_per_s: float) -> float:
    """Return the share of the fastest execution's speed below which others are not served."""
    return _SLOW_KEEP_RATIO if samples_per_s < _SLOW_SAMPLES_PER_S else _KEEP_RATIO


def accepted_kinds(kinds: Sequence[Kind], verdicts: dict[str, Any]) -> list[Kind]:
    """Return the accepted precisions."""
    return [kind for kind in kinds if verdicts[f"{kind[0]} {kind[1]}"]["accepted"]]


def why_none_accepted(verdicts: dict[str, Any], spec: StudySpec) -> str:
    """Return why no precision was accepted, with the reason of each."""
    reasons = []
    for name, verdict in verdicts.items():
        if "words" in verdict:
            reasons.append(f"{name}: {verdict['words']}")
        elif "error" in verdict:
            reasons.append(f"{name}: {verdict['error'].rstrip('.')}")
    is_inaccurate = any("words" in verdict for verdict in verdicts.values())
    advice = f" Allow more than --max-drop {spec.max_drop}, or give more data." if is_inaccurate else ""
    return f"No precision can be released. {'; '.join(reasons)}.{advice}"


def _accuracy_verdict(bench: Workbench, execution: Execution, on_step: OnStep, speed: float) -> dict[str, Any]:
    yardstick = bench.yardstick()
    try:
        answers = bench.answers_in(execution)
        result = yardstick.compare(answers, bench.subject.choosing, alpha=ALPHA, seed=bench.spec.seed)
    except (StudyInputError, ServiceError, ReleaseError) as error:
        # The baseline answered all samples, so the candidate is at fault: it gave NaN, or the API's function failed.
        on_step(f"{_key(execution)}: {first_line(error)}")
        return {"accepted": False, "error": first_line(error)}
    accepted = yardstick.is_kept(result)
    verdict = "accepted" if accepted else "refused"
    words = yardstick.describe(result)
    on_step(f"{_key(execution)}: {speed_words(speed)}, {words}: {verdict}")
    return {"accepted": accepted, "words": words}


def _key(execution: Execution) -> str:
    return f"{execution.backend} {execution.precision}"
