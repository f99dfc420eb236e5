"""Stage 5: the accuracy of exactly what will be released, and how far a request's company moves its answer."""

from __future__ import annotations

from dataclasses import asdict
from typing import Any

from bento_monitor.model_host.records import Contender

from ..accuracy.batch_dependence import batch_dependence_min_cosine
from ..accuracy.compare import compare_accuracy
from ..candidate import Candidate
from .workbench import Workbench


def winner_accuracy(bench: Workbench, winner: Candidate) -> dict[str, Any]:
    """Paired with the baseline on all samples, both in random company; batch dependence on a part of them."""
    contender = bench.contender(winner.execution)
    baseline = bench.baseline_answers()
    answers = bench.answers(f"winner-{winner.name}", contender)
    result = compare_accuracy(baseline, answers, bench.subject.data.labels, bench.subject.metric, bench.reading())
    index = bench.alone_samples()
    alone = bench.answers_alone(f"winner-{winner.name}", contender)
    baseline_alone = bench.answers_alone("baseline", Contender())
    return {
        **asdict(result),
        "batch_dependence_min_cosine": batch_dependence_min_cosine(alone, answers[index]),
        "baseline_batch_dependence_min_cosine": batch_dependence_min_cosine(baseline_alone, baseline[index]),
        "batch_dependence_samples": len(index),
    }
