"""`make bench-accuracy`: how often candidates with a drop at the tolerance, and without a drop, are accepted."""

from __future__ import annotations

import sys
import time
from collections.abc import Iterable
from concurrent.futures import ProcessPoolExecutor
from dataclasses import dataclass
from typing import Any

import numpy as np
import scipy
from accuracy.cells import ALPHA, CANDIDATES, FINALISTS, Cell, all_cells
from accuracy.draws import ROUNDS, Draw, Flips, exact_bound
from result import Figure, write_result

from bento_monitor.errors import MeasurementError
from bento_monitor.lab.statistics import DropBound
from optimizers.accuracy.finalists import first_proved
from optimizers.accuracy.split import split_rows

MAX_WRONG = 0.057  # .05, plus what chance adds in the worst of so many cells
MIN_POWER = 0.8
PIECE_RUNS = 1000  # every cell's runs are a multiple of it
REPORT_S = 20.0


@dataclass(frozen=True, slots=True)
class Tally:
    """How many of a cell's runs accepted a candidate."""

    cell: Cell
    accepted: int
    runs: int

    @property
    def share(self) -> float:
        """The share of the runs that accepted a candidate."""
        return self.accepted / self.runs

    def interval(self) -> tuple[float, float]:
        """Return the 95 % interval of the share (Clopper and Pearson 1934)."""
        from scipy import stats

        found = stats.binomtest(self.accepted, self.runs).proportion_ci()
        return float(found.low), float(found.high)


def run_cell(cell: Cell, runs: int, seed: int) -> int:
    """Return how many of the runs accepted a candidate."""
    generator = np.random.default_rng(seed)
    if is_counted(cell):
        return count_flips(cell, runs, generator)
    accepts = accepts_procedure if cell.kind.startswith("procedure") else accepts_one
    return sum(accepts(cell, generator) for _ in range(runs))


def is_counted(cell: Cell) -> bool:
    """Return whether a run needs only counts of flips."""
    return isinstance(cell.population, Flips) and cell.kind in ("bound", "power")


def count_flips(cell: Cell, runs: int, generator: np.random.Generator) -> int:
    """Do the same as `accepts_one`, from counts of flips.

    The bound rises with losses and falls with gains, so the largest accepted number of losses rises with gains.
    """
    population = cell.population
    assert isinstance(population, Flips)
    same = 1 - population.lose - population.gain
    counts = generator.multinomial(cell.n, [population.lose, population.gain, same], runs)
    accepted, most = 0, int(min(counts[:, 1].min(), cell.n // 2))
    for gains in np.unique(counts[:, 1]).tolist():
        losses = counts[counts[:, 1] == gains, 0]
        most = min(most, cell.n - gains)
        while most < cell.n - gains and is_accepted(most + 1, gains, cell):
            most += 1
        while most >= 0 and not is_accepted(most, gains, cell):
            most -= 1
        accepted += int((losses <= most).sum())
    return accepted


def is_accepted(losses: int, gains: int, cell: Cell) -> bool:
    """Return whether these flips prove the cell's tolerance."""
    return exact_bound(losses, gains, cell.n, alpha=ALPHA).upper <= cell.tolerance


def accepts_one(cell: Cell, generator: np.random.Generator) -> bool:
    """Return whether one candidate is accepted on all samples."""
    draw = cell.population.draw(cell.n, 1, generator)
    return bound_or_worst(draw, 0, np.arange(cell.n), ALPHA).upper <= cell.tolerance


def accepts_procedure(cell: Cell, generator: np.random.Generator) -> bool:
    """Return whether the whole procedure accepts: it tests the best candidates by one half on the other, in order."""
    draw = cell.population.draw(cell.n, CANDIDATES, generator)
    choosing, proving = split_rows(draw.labels, seed=int(generator.integers(2**31)))
    drops = np.array([draw.drop(candidate, choosing) for candidate in range(CANDIDATES)])
    finalists = np.argsort(drops, kind="stable")[:FINALISTS].tolist()
    return (
        first_proved(
            finalists,
            lambda candidate, alpha: bound_or_worst(draw, candidate, proving, alpha).upper <= cell.tolerance,
            alpha=ALPHA,
        )
        is not None
    )


def bound_or_worst(draw: Draw, candidate: int, rows: Any, alpha: float) -> DropBound:
    """Return the bound; an infinite one if the samples lack a class, since nothing is accepted then."""
    try:
        return draw.bound(candidate, rows, alpha)
    except MeasurementError:
        return DropBound(float("nan"), float("inf"), len(rows), "bootstrap", 1 - alpha)


def run_all(cells: Iterable[Cell]) -> list[Tally]:
    """Run every cell in pieces, on every core."""
    pieces = [(cell, runs) for cell in cells for runs in pieces_of(cell)]
    seeds = np.random.SeedSequence(16).generate_state(len(pieces)).tolist()
    accepted: dict[Cell, int] = {}
    start = reported = time.monotonic()
    with ProcessPoolExecutor() as pool:
        counts = pool.map(run_cell, [cell for cell, _ in pieces], [runs for _, runs in pieces], seeds)
        for done, ((cell, _), count) in enumerate(zip(pieces, counts, strict=True), 1):
            accepted[cell] = accepted.get(cell, 0) + count
            if time.monotonic() - reported > REPORT_S:
                reported = time.monotonic()
                print(f"{done} of {len(pieces)} pieces in {reported - start:.0f} s", flush=True)
    return [Tally(cell, count, cell.runs) for cell, count in accepted.items()]


def pieces_of(cell: Cell) -> list[int]:
    """Split the runs of a cell into pieces for processes; one piece if each would compute the same bounds."""
    return [cell.runs] if is_counted(cell) else [PIECE_RUNS] * (cell.runs // PIECE_RUNS)


def figures_of(tallies: list[Tally]) -> dict[str, Figure]:
    """Return the worst cell of each kind with its goal."""
    wrong = max((tally for tally in tallies if tally.cell.is_wrong), key=lambda tally: tally.share)
    power = min((tally for tally in tallies if not tally.cell.is_wrong), key=lambda tally: tally.share)
    chosen = max((tally for tally in tallies if tally.cell.kind == "procedure"), key=lambda tally: tally.share)
    by_metric = {
        name: max(
            (tally for tally in tallies if tally.cell.is_wrong and prefix in tally.cell.name), key=lambda t: t.share
        )
        for name, prefix in (("wer", "WER"), ("roc_auc", "AUC"), ("recall_at_alarms", "recall at fixed alarms"))
    }
    return {
        **{
            f"coverage_{name}": Figure(
                1 - worst.share, "of runs", _complement(worst.interval()), ">= 0.94", worst.share <= 0.06
            )
            for name, worst in by_metric.items()
        },
        "wrongly_accepted_share": Figure(
            wrong.share, "of runs", wrong.interval(), f"<= {MAX_WRONG:g}", wrong.share <= MAX_WRONG
        ),
        "wrongly_accepted_share_whole_procedure": Figure(
            chosen.share, "of runs", chosen.interval(), f"<= {MAX_WRONG:g}", chosen.share <= MAX_WRONG
        ),
        "power_at_no_drop": Figure(
            power.share, "of runs", power.interval(), f">= {MIN_POWER:g}", power.share >= MIN_POWER
        ),
    }


def _complement(interval: tuple[float, float]) -> tuple[float, float]:
    return 1 - interval[1], 1 - interval[0]


def row_of(tally: Tally) -> dict[str, Any]:
    """Return a cell as JSON, with the population's parameters."""
    cell = tally.cell
    return {
        "kind": cell.kind,
        "name": cell.name,
        "population": repr(cell.population),
        "n": cell.n,
        "tolerance": cell.tolerance,
        "runs": tally.runs,
        "accepted_share": tally.share,
        "ci95": tally.interval(),
    }


def main() -> int:
    """Run every cell and write the result; return 1 if a goal is not met."""
    start = time.monotonic()
    tallies = run_all(all_cells())
    figures = figures_of(tallies)
    rows = sorted((row_of(tally) for tally in tallies), key=lambda row: (row["kind"], -row["accepted_share"]))
    for kind in ("bound", "procedure", "power", "procedure_power"):
        shown = [row for row in rows if row["kind"] == kind]
        for row in shown[:8] if kind in ("bound", "procedure") else shown[-8:]:
            print(f"{kind}: {row['name']}, n {row['n']}, tolerance {row['tolerance']:.4g}: {row['accepted_share']:.4f}")
    seconds = time.monotonic() - start
    versions = {"numpy": np.__version__, "scipy": scipy.__version__}
    write_result("accuracy", figures, {"seconds": seconds, "bootstrap_rounds": ROUNDS, **versions, "cells": rows})
    return 0 if all(figure.met is not False for figure in figures.values()) else 1


if __name__ == "__main__":
    sys.exit(main())
