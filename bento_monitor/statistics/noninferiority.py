"""Non-inferiority: how large the drop of a score can be, as an upper bound from paired samples."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from ..errors import MeasurementError


@dataclass(frozen=True, slots=True)
class DropBound:
    """Mean of baseline less candidate over `n` pairs, and its one-sided upper bound."""

    mean_drop: float
    upper: float
    n: int


def drop_upper_bound(
    baseline_scores: Sequence[float] | NDArray[np.float64],
    candidate_scores: Sequence[float] | NDArray[np.float64],
    confidence: float = 0.95,
) -> DropBound:
    """Bound the mean drop from scores of the same samples, in the same order, by Student's t.

    Where all drops are equal the bound is the mean itself.

    Raises:
        MeasurementError: the scores are no pairs, fewer than 2, or not finite.
    """
    from scipy import stats

    baseline = np.asarray(baseline_scores, dtype=np.float64)
    candidate = np.asarray(candidate_scores, dtype=np.float64)
    if baseline.shape != candidate.shape or baseline.ndim != 1 or len(baseline) < 2:
        raise MeasurementError(f"Scores of shape {baseline.shape} and {candidate.shape} are no 2 or more pairs.")
    drops = baseline - candidate
    if not np.isfinite(drops).all():
        raise MeasurementError("Scores must be finite numbers: one is NaN or infinite.")
    error = float(drops.std(ddof=1)) / float(np.sqrt(len(drops)))
    mean = float(drops.mean())
    return DropBound(mean, mean + float(stats.t.ppf(confidence, len(drops) - 1)) * error, len(drops))
