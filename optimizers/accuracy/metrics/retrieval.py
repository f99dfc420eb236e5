"""Metrics of vectors: whether a sample's nearest neighbors have its label."""

from __future__ import annotations

import math
from functools import partial
from typing import TYPE_CHECKING, Any

from ...errors import StudyInputError
from ..outputs import OutputReading
from ._base import Metric, Pooled

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

DEFAULT_NEIGHBORS = 10
_LABEL_KINDS = "biuUS"
_CHUNK_ROWS = 1024
_SPARE_NEIGHBORS = 20


def nearest_others(vectors: NDArray[Any], count: int) -> NDArray[np.int64]:
    """Return each vector's `count` nearest other vectors by cosine, `(n, count)`, nearest first."""
    import numpy as np

    rows32 = vectors.astype(np.float32)
    rows32 = rows32 / np.maximum(np.linalg.norm(rows32, axis=1, keepdims=True), np.finfo(np.float32).tiny)
    found = np.empty((len(rows32), count), dtype=np.int64)
    for start in range(0, len(rows32), _CHUNK_ROWS):
        rows = np.arange(start, min(start + _CHUNK_ROWS, len(rows32)))
        cosines = rows32[rows] @ rows32.T
        cosines[np.arange(len(rows)), rows] = -np.inf
        nearest = np.argpartition(-cosines, count - 1, axis=1)[:, :count]
        order = np.argsort(-np.take_along_axis(cosines, nearest, axis=1), axis=1, kind="stable")
        found[rows] = np.take_along_axis(nearest, order, axis=1)
    return found


def _evaluate(
    answers: NDArray[Any], labels: NDArray[Any], _reading: OutputReading, *, k: int, discounts: bool
) -> Pooled:
    import numpy as np

    n = len(answers)
    if labels.ndim != 1:
        raise StudyInputError(
            f"A metric at {k} needs one label per sample, but the labels have the shape {labels.shape}: give labels of "
            "the shape (n,)."
        )
    _, codes, sizes = np.unique(labels, return_inverse=True, return_counts=True)
    codes = codes.reshape(-1)
    if sizes.max() < 2:
        raise StudyInputError(
            f"No sample can be scored by a metric at {k}: no two of them have the same label. Give several samples per "
            "label."
        )
    gains = 1 / np.log2(np.arange(2, k + 2)) if discounts else np.ones(k)
    total = np.concatenate([[0.0], np.cumsum(gains)])
    nearest = nearest_others(answers, min(2 * k + _SPARE_NEIGHBORS, n - 1))
    is_relevant = codes[nearest] == codes[:, None]

    def score(counts: NDArray[np.int64]) -> float:
        places = np.minimum(np.cumsum(counts[nearest], axis=1), k)
        reached = total[places]
        gained = (np.diff(reached, axis=1, prepend=0.0) * is_relevant).sum(axis=1)
        others = np.bincount(codes, weights=counts, minlength=len(sizes))[codes] - counts
        is_scored = (others > 0) & (counts > 0)
        if not is_scored.any():
            return math.nan
        best = total[np.minimum(others[is_scored].astype(np.int64), k)]
        return float(np.average(gained[is_scored] / best, weights=counts[is_scored]))

    value = score(np.ones(n, dtype=np.int64))
    # A wrong vector loses its own score, and its place among the neighbors of other samples.
    return Pooled(n, value, score, max(1.0, 2 * value))


def make_recall(k: int) -> Metric:
    """Return recall@k: the share of a sample's k nearest neighbors that have its label.

    Neighbors are the nearest other samples by cosine of the outputs `(n, d)`. The share is relative to `min(k, samples
    of the label - 1)`, so that the best value is 1. Samples with a unique label have no score.
    """
    return Metric(f"recall@{k}", "retrieval", True, _LABEL_KINDS, partial(_evaluate, k=k, discounts=False))


def make_ndcg(k: int) -> Metric:
    """Return nDCG@k: as recall@k, but a neighbor at rank i counts 1 / log2(i + 1) (Järvelin and Kekäläinen 2002).

    A neighbor with the sample's label is relevant. The best order, all relevant neighbors first, has the value 1.
    """
    return Metric(f"ndcg@{k}", "retrieval", True, _LABEL_KINDS, partial(_evaluate, k=k, discounts=True))


METRICS = {"recall": make_recall, "ndcg": make_ndcg}
