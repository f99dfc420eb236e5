"""A brute force over the in-process space of a workload, against what the optimizer's first stages choose."""

from __future__ import annotations

import tempfile
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from space.subjects import SpaceSubject

from bento_monitor.errors import BentoMonitorError
from bento_monitor.lab.model_host.client import ModelHost
from bento_monitor.lab.model_host.messages import Contender
from bento_monitor.machine import read_machine
from bento_monitor.serving_config import Execution
from optimizers.accuracy.compare import AccuracyResult
from optimizers.candidate import describe_execution
from optimizers.errors import StudyInputError, first_line
from optimizers.search_space.executions import executions, thread_counts
from optimizers.search_space.recipe import Recipe, StaticInt8
from optimizers.stages.mixed import mixed_recipes, without
from optimizers.stages.race import race
from optimizers.stages.screen import accepted_kinds, screen
from optimizers.stages.subject import find_subject
from optimizers.stages.workbench import Workbench
from optimizers.stages.yardstick import ALPHA
from optimizers.study_folder import StudyFolder
from optimizers.study_spec import StudySpec

ROUNDS, BLOCK_S = 2, 0.3  # as the optimizer's own race
PLAYOFF_ROUNDS, PLAYOFF_SIZE = 6, 8
PART_SIZES = (1, 2, 4, 8, 16)  # also those, and streams, that the optimizer takes for slow
FINAL_ROUNDS, FINAL_BLOCK_S = 24, 0.5


@dataclass(frozen=True, slots=True)
class SpaceResult:
    """What both found for a workload, and the blocks in which eager, brute force and found were measured anew.

    `blocks` are samples per second by arm; `accuracy` is that of the found execution on the samples to prove on;
    `grid` has every execution of the brute force with its speed over eager, or the reason why it has none.
    """

    found: str
    brute: str
    found_s: float
    blocks: Mapping[str, Sequence[float]]
    accuracy: AccuracyResult
    grid: Sequence[Mapping[str, Any]]


def measure_space(prepare: Callable[[Path], SpaceSubject]) -> SpaceResult:
    """Let the optimizer choose from an empty cache, search the grid by brute force, and compare both with eager."""
    with tempfile.TemporaryDirectory(prefix="bench-space-") as folder:
        subject = prepare(Path(folder))
        spec = subject.spec
        with ModelHost(spec.target, spec.working_dir, subject.environment) as host:
            return _measured(host, spec, Path(folder))


def _measured(host: ModelHost, spec: StudySpec, folder: Path) -> SpaceResult:
    subject = find_subject(host, spec, folder)
    bench = Workbench(host, spec, subject, StudyFolder(folder / "study"))
    cores = read_machine().cores
    started_s = time.monotonic()
    space = bench.space()
    verdicts = screen(bench, space.families, cores, _tell, _tell)
    mixed = mixed_recipes(space.recipes, verdicts)
    ranked = race(bench, accepted_kinds([*space.recipes, *mixed], verdicts), cores, _tell)
    found = Execution(**ranked[0]["execution"])
    found_s = time.monotonic() - started_s
    _tell(f"found in {found_s:.0f} s: {describe_execution(found)}")
    grid = _Grid(host, bench, cores)
    brute = grid.search([*space.recipes, *mixed, *_with_edges_in_float(bench, space.recipes)])
    _tell(f"brute force of {len(grid.rows)}: {describe_execution(brute)}")
    blocks = grid.race([None, brute, found], FINAL_ROUNDS, FINAL_BLOCK_S)
    yardstick = bench.yardstick()
    accuracy = yardstick.compare(bench.answers_in(found), subject.proving, alpha=ALPHA, seed=spec.seed)
    return SpaceResult(
        found=describe_execution(found),
        brute=describe_execution(brute),
        found_s=found_s,
        blocks=dict(zip(("eager", "brute", "found"), blocks, strict=True)),
        accuracy=accuracy,
        grid=grid.rows,
    )


def _with_edges_in_float(bench: Workbench, recipes: Sequence[Recipe]) -> list[Recipe]:
    """Return the static int8 recipes with the first and the last operator in float, as an engineer would try."""
    static = [each for each in recipes if isinstance(each.quantization, StaticInt8)]
    found = []
    for recipe in static:
        try:
            made = without(recipe, bench.sensitivity(recipe).edges, "edges")
        except BentoMonitorError as error:
            _tell(first_line(error))
            break
        bench.add(made)
        found.append(made)
    return found


class _Grid:
    """Every execution of every recipe that the same gate of accuracy accepts, raced."""

    def __init__(self, host: ModelHost, bench: Workbench, cores: int) -> None:
        self.rows: list[dict[str, Any]] = []
        self._host = host
        self._bench = bench
        self._cores = cores

    def search(self, recipes: Sequence[Recipe]) -> Execution:
        """Race all of them; return the fastest of a playoff of the best few."""
        entrants: list[Execution] = []
        for recipe in dict.fromkeys(recipes):
            made = self._executions(recipe)
            refusal = self._refusal(made[0])
            if refusal is None:
                entrants += made
            else:
                self.rows += [{**asdict(execution), "refusal": refusal} for execution in made]
        eager, *blocks = self.race([None, *entrants], ROUNDS, BLOCK_S)
        speeds = {execution: _mean(each) / _mean(eager) for execution, each in zip(entrants, blocks, strict=True)}
        self.rows += [{**asdict(execution), "over_eager": speed} for execution, speed in speeds.items()]
        best = sorted(speeds, key=lambda execution: -speeds[execution])[:PLAYOFF_SIZE]
        playoff = self.race(best, PLAYOFF_ROUNDS, BLOCK_S)
        return max(zip(best, playoff, strict=True), key=lambda pair: _mean(pair[1]))[0]

    def race(self, entrants: Sequence[Execution | None], rounds: int, block_s: float) -> list[list[float]]:
        """Return the samples per second of each in each round; None stands for the user's own model."""
        bench = self._bench
        return self._host.race(
            bench.subject.subject.api.name,
            bench.subject.requests,
            [Contender() if execution is None else bench.contender(execution) for execution in entrants],
            batch_size=bench.spec.connections,
            rounds=rounds,
            block_s=block_s,
            seed=rounds,
        )

    def _executions(self, recipe: Recipe) -> list[Execution]:
        """Return every execution of a recipe: those of the optimizer, and every other way to run a batch in parts."""
        interface = self._bench.subject.subject.interface
        mask, has_rows = interface.mask_input, interface.has_separate_rows
        found = executions([recipe.kind], self._cores, mask, has_separate_rows=has_rows)
        if mask is not None or has_rows:
            found += [
                Execution(*recipe.kind, threads, sub_batch_size=size, mask_input=mask, streams=streams)
                for threads in thread_counts(self._cores)
                for streams in sorted({1, self._cores})
                for size in PART_SIZES
                if size < self._bench.spec.connections
            ]
        return list(dict.fromkeys(found))

    def _refusal(self, execution: Execution) -> str | None:
        """Return why a recipe is not accepted, by the optimizer's own gate."""
        bench, yardstick = self._bench, self._bench.yardstick()
        try:
            bench.speeds([execution])
            ruined = bench.ruin_in(execution)
            if ruined is not None:
                return yardstick.describe(ruined[0])
            answers = bench.answers_in(execution)
            result = yardstick.compare(answers, bench.subject.choosing, alpha=ALPHA, seed=bench.spec.seed)
        except (BentoMonitorError, StudyInputError) as error:
            return first_line(error)
        return None if yardstick.is_kept(result) else yardstick.describe(result)


def _mean(values: Sequence[float]) -> float:
    return sum(values) / len(values)


def _tell(text: str) -> None:
    print(f"  {text}", flush=True)
