"""Stage 5: the accuracy of exactly what will be released, and how far a request's company moves its answer."""

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
    """Paired with the baseline on the samples that nothing was chosen by, in batches that are composed anew.

    `alpha` is the chance that the bound of the drop is wrong. A winner that cannot answer has only an `error`: the
    baseline answered all samples, so it is the winner's.
    """
    yardstick = bench.yardstick()
    try:
        answers = bench.answers_anew(f"winner-{winner.name}", bench.contender(winner.execution))
        result = yardstick.compare(answers, bench.subject.proving, alpha=alpha, seed=bench.spec.seed)
        dependence = dependence_record(bench, winner)
    except (StudyInputError, ServiceError, ReleaseError) as error:
        return {"error": first_line(error)}
    words = yardstick.describe(result)
    return {**asdict(result), "is_kept": yardstick.is_kept(result), "words": words, **dependence}


def dependence_record(bench: Workbench, candidate: Candidate) -> dict[str, Any]:
    """How far company moves the candidate's answers, and the baseline's, to some of the samples to choose on."""
    rows = bench.alone_samples()
    contender = bench.contender(candidate.execution)
    found = bench.yardstick().dependence(
        bench.answers_alone(f"winner-{candidate.name}", contender),
        take(bench.answers(f"company-{candidate.name}", contender), rows),
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
