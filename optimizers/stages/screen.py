"""Stage 2: which precisions are accepted. Speed takes seconds to measure and accuracy minutes, so speed comes first."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

from bento_monitor.errors import BentoMonitorError, ReleaseError, ServiceError
from bento_monitor.serving_config import Execution

from ..accuracy.compare import AccuracyResult
from ..artifacts.sensitivity import Layers
from ..errors import ArtifactError, StudyInputError, first_line
from ..search_space.executions import typical_executions
from ..search_space.precisions import is_exact
from ..search_space.recipe import Family, Kind, Recipe, StaticInt8
from ..study_spec import StudySpec
from .mixed import fewest_in_float, mixed_record, without
from .speeds import speed_words, speeds_of
from .workbench import Workbench
from .yardstick import ALPHA

# Executions slower than this share of the fastest are not served: the server reduces a lead, but never all of it, and
# hardly that of a model which takes over 50 ms for a sample.
_KEEP_RATIO, _SLOW_KEEP_RATIO = 0.6, 0.85
SLOW_SAMPLES_PER_S = 20.0
# Mixed precision costs several measurements of accuracy, for a graph that is slower than its base.
_MIN_MIXED_LEAD = 1.05
_MIXED_S = 120.0
# A precision whose answers to all samples take longer is first tried on a few, which show whether it is ruined.
_LONG_S = 5.0
_MIN_MIXED_TRIALS, _MAX_MIXED_TRIALS = 2, 12
OnStep = Callable[[str], None]


def screen(
    bench: Workbench, families: Sequence[Family], cores: int, on_step: OnStep, on_note: OnStep
) -> dict[str, Any]:
    """Race typical executions of each family, then measure accuracy on the samples to choose on, the fastest first.

    A precision is accepted if the upper 95 % bound of its drop is within the tolerance; if not, or if it fails, the
    next one of its family is raced and measured. The accuracy of a precision much slower than an accepted one
    (`keep_ratio`) is not measured, except that of the fastest one with unchanged weights, the reserve. At the end, a
    quantized family that was refused, although it is faster than all accepted ones, is tried with some operators in
    float. `on_step` is called once for the baseline and at the end of each family, `on_note` for everything else.
    Return the verdict in words or the error, by precision.
    """
    for note in bench.yardstick().notes:
        on_note(note)
    on_step(f"the baseline answered {bench.subject.count} samples")
    return _Screening(bench, cores, on_step, on_note).run(families)


@dataclass(slots=True)
class _Entrant:
    """A family in the screening, at one of its precisions, with the faster of the executions typical for it."""

    family: Family
    rung: int
    executions: tuple[Execution, ...]
    execution: Execution
    samples_per_s: float = 0.0

    @property
    def is_last(self) -> bool:
        return self.rung + 1 == len(self.family.rungs)


@dataclass(frozen=True, slots=True)
class _Measured:
    """A recipe with its speed and the upper bound of its drop."""

    recipe: Recipe
    samples_per_s: float
    upper: float


class _Screening:
    def __init__(self, bench: Workbench, cores: int, on_step: OnStep, on_note: OnStep) -> None:
        self._bench = bench
        self._cores = cores
        self._on_step = on_step
        self._on_note = on_note
        self._verdicts: dict[str, Any] = {}
        self._fastest_accepted = 0.0
        self._has_reserve = False
        self._accepted: list[_Measured] = []
        self._refused: dict[Family, list[_Measured]] = {}

    def run(self, families: Sequence[Family]) -> dict[str, Any]:
        waiting = self._raced([self._entrant(family, 0) for family in families])
        while waiting:
            waiting.sort(key=lambda entrant: entrant.samples_per_s)
            entrant = waiting.pop()
            verdict, words = self._verdict(entrant)
            self._verdicts[_key(entrant.execution)] = verdict
            is_refused = not verdict["accepted"] and "too_slow" not in verdict
            if is_refused and not entrant.is_last:
                self._on_note(words)
                waiting += self._raced([self._entrant(entrant.family, entrant.rung + 1)])
            else:
                self._on_step(words)
        self._try_edges()
        for refused in sorted(self._refused.values(), key=lambda each: -each[0].samples_per_s):
            self._mix(min(refused, key=lambda each: each.upper))
        return self._verdicts

    def _try_edges(self) -> None:
        """Try the fastest accepted graph of static int8 with its first and its last operator in float.

        These two are often small and sensitive: in float they may be faster, and the graph more accurate.
        """
        static = [each for each in self._accepted if isinstance(each.recipe.quantization, StaticInt8)]
        best = max(static, key=lambda each: each.samples_per_s, default=None)
        layers = None if best is None else self._layers(best)
        if best is not None and layers is not None:
            self._try_mixed(without(best.recipe, layers.edges, "edges"))

    def _trials(self, measured: _Measured) -> int:
        """Return how many mixed graphs like a measured one may be tried."""
        return min(_MAX_MIXED_TRIALS, int(_MIXED_S * measured.samples_per_s / self._bench.subject.count))

    def _mix(self, refused: _Measured) -> None:
        """Try an inaccurate quantized graph with some of its operators in float."""
        base, speed = refused.recipe, refused.samples_per_s
        if base.quantization is None or speed < _MIN_MIXED_LEAD * self._fastest_accepted:
            return
        layers = self._layers(refused)
        if layers is not None and len(layers.ranking) > 1:
            fewest_in_float(base, layers.ranking, layers.edges, self._try_mixed, self._trials(refused))

    def _layers(self, measured: _Measured) -> Layers | None:
        """Return the layers of a graph of which mixed ones are worth a trial; None, with a note, if none is."""
        try:
            if self._trials(measured) >= _MIN_MIXED_TRIALS:
                return self._bench.sensitivity(measured.recipe)
            why = "a trial would take too long"
        except ArtifactError as error:
            why = first_line(error)
        self._on_note(f"{' '.join(measured.recipe.kind)}: not tried with operators in float: {why}")
        return None

    def _try_mixed(self, recipe: Recipe) -> bool | None:
        """Return whether a mixed graph is accepted; None if it fails or is no faster than what is accepted."""
        self._bench.add(recipe)
        family = Family((recipe,))
        entrants = self._raced([self._entrant(family, 0)], self._on_note)
        if not entrants or entrants[0].samples_per_s < self._fastest_accepted:
            return None
        verdict, words = self._verdict(entrants[0])
        self._verdicts[_key(entrants[0].execution)] = verdict | mixed_record(recipe)
        self._on_note(words)
        return bool(verdict["accepted"])

    def _entrant(self, family: Family, rung: int) -> _Entrant:
        interface = self._bench.subject.subject.interface
        kind, has_graphs = family.rungs[rung].kind, interface.without_graphs is None
        typical = typical_executions(*kind, self._cores, interface.mask_input, has_graphs=has_graphs)
        return _Entrant(family, rung, typical, typical[0])

    def _raced(self, entrants: Sequence[_Entrant], on_end: OnStep | None = None) -> list[_Entrant]:
        """Build and race entrants; in place of one that fails, the next one of its family."""
        on_end = on_end or self._on_step
        built = [entrant for entrant in entrants if self._is_built(entrant, on_end)]
        failed: dict[Execution, BentoMonitorError] = {}
        every = [execution for entrant in built for execution in entrant.executions]
        speeds = speeds_of(self._bench, every, failed.__setitem__)
        running: list[_Entrant] = []
        for entrant in built:
            ran = [execution for execution in entrant.executions if execution in speeds]
            if not ran:
                self._refuse(entrant, failed[entrant.execution], on_end)
                continue
            entrant.execution = max(ran, key=lambda execution: speeds[execution])
            entrant.samples_per_s = speeds[entrant.execution]
            running.append(entrant)
        families = {entrant.family for entrant in running}
        others = [entrant for entrant in entrants if entrant.family not in families and not entrant.is_last]
        return running + (self._raced([self._entrant(each.family, each.rung + 1) for each in others]) if others else [])

    def _is_built(self, entrant: _Entrant, on_end: OnStep) -> bool:
        try:
            self._bench.artifact(entrant.execution)
        except StudyInputError:
            raise
        except BentoMonitorError as error:
            self._refuse(entrant, error, on_end)
            return False
        return True

    def _refuse(self, entrant: _Entrant, error: BentoMonitorError, on_end: OnStep) -> None:
        key = _key(entrant.execution)
        self._verdicts[key] = {"accepted": False, "error": first_line(error)}
        report = on_end if entrant.is_last else self._on_note
        report(f"{key}: {first_line(error)}")

    def _verdict(self, entrant: _Entrant) -> tuple[dict[str, Any], str]:
        """Return the verdict on an entrant that runs, and a line about it."""
        execution, speed = entrant.execution, entrant.samples_per_s
        key, words = _key(execution), speed_words(speed)
        is_reserve = is_exact(execution.precision) and not self._has_reserve
        if not is_reserve and speed < keep_ratio(self._fastest_accepted) * self._fastest_accepted:
            return (
                {"accepted": False, "samples_per_s": speed, "too_slow": True},
                f"{key}: {words}, too slow: accuracy not measured",
            )
        try:
            result, where = self._accuracy(execution, speed)
        except (StudyInputError, ServiceError, ReleaseError) as error:
            # The baseline answered all samples, so the candidate is at fault: it gave NaN, or the API's function
            # failed.
            verdict = {"accepted": False, "samples_per_s": speed, "error": first_line(error)}
            return verdict, f"{key}: {first_line(error)}"
        accepted = self._bench.yardstick().is_kept(result)
        found = self._bench.yardstick().describe(result) + where
        if accepted:
            self._fastest_accepted = max(self._fastest_accepted, speed)
            self._has_reserve |= is_exact(execution.precision)
        measured = _Measured(entrant.family.rungs[entrant.rung], speed, result.upper)
        (self._accepted if accepted else self._refused.setdefault(entrant.family, [])).append(measured)
        verdict = {"accepted": accepted, "samples_per_s": speed, "words": found}
        return verdict, f"{key}: {words}, {found}: {'accepted' if accepted else 'refused'}"

    def _accuracy(self, execution: Execution, samples_per_s: float) -> tuple[AccuracyResult, str]:
        """Return the accuracy, and on what it was measured, in words, if not on all samples to choose on."""
        bench = self._bench
        if bench.subject.count > _LONG_S * samples_per_s:
            ruined = bench.ruin_in(execution)
            if ruined is not None:
                return ruined[0], f" on the first {ruined[1]} samples"
        answers = bench.answers_in(execution)
        return bench.yardstick().compare(answers, bench.subject.choosing, alpha=ALPHA, seed=bench.spec.seed), ""


def keep_ratio(samples_per_s: float) -> float:
    """Return the share of the fastest execution's speed below which others are not served."""
    return _SLOW_KEEP_RATIO if samples_per_s < SLOW_SAMPLES_PER_S else _KEEP_RATIO


def accepted_kinds(recipes: Sequence[Recipe], verdicts: dict[str, Any]) -> list[Kind]:
    """Return the accepted precisions among those of the recipes."""
    return [recipe.kind for recipe in recipes if verdicts.get(" ".join(recipe.kind), {}).get("accepted", False)]


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


def _key(execution: Execution) -> str:
    return f"{execution.backend} {execution.precision}"
