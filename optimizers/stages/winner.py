"""Stage 5: the accuracy of the configuration to be released, and how much a batch's composition changes its answers."""

from __future__ import annotations

from dataclasses import asdict
from typing import Any

from bento_monitor.errors import ReleaseError, ServiceError
from bento_monitor.lab.model_host.messages import Contender

from ..accuracy.answers import take
from ..candidate import Candidate
from ..errors import StudyInputError, first_line
from .workbench import Workbench


def winner_accuracy(bench: Workbench, winner: Candidate, alpha: float) -> dict[str, Any]:
    """Return the winner's accuracy, paired with the baseline, on held-out samples in newly composed batches.

    `alpha` is the probability that the bound of the drop is wrong. The result of a winner that cannot answer has only
    an `error`: the baseline answered all samples, so the winner is at fault.
    """
    yardstick = bench.yardstick()
    try:
        answers = bench.answers_rebatched(f"winner-{winner.name}", bench.contender(winner.execution))
        result = yardstick.compare(answers, bench.subject.proving, alpha=alpha, seed=bench.spec.seed)
        dependence = dependence_record(bench, winner)
    except (StudyInputError, ServiceError, ReleaseError) as error:
        return {"error": first_line(error)}
    words = yardstick.describe(result)
    return {**asdict(result), "is_kept": yardstick.is_kept(result), "words": words, **dependence}


def dependence_record(bench: Workbench, candidate: Candidate) -> dict[str, Any]:
    """Return how much batch composition changes the answers of candidate and baseline, on samples to choose on."""
    rows = bench.alone_samples()
    contender = bench.contender(candidate.execution)
    found = bench.yardstick().dependence(
        bench.answers_alone(f"winner-{candidate.name}", contender),
        bench.answers_in_company(f"winner-{candidate.name}", contender),
    )
    baseline = bench.yardstick().dependence(
        bench.answers_alone("baseline", Contender()), take(bench.baseline_answers(), rows)
    )
    return {
        "batch_dependence_measure": found.measure,
        "batch_dependence": found.value,
        "batch_dependence_amount": found.amount,
        "baseline_batch_dependence": baseline.value,
        "batch_dependence_samples": len(rows),
    }
