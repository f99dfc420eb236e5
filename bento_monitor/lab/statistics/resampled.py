"""A bound on the drop of a statistic that is not a mean over samples: F1, ROC AUC, recall@k."""

from __future__ import annotations

import math
from collections.abc import Callable

import numpy as np
from numpy.typing import NDArray

from ...errors import MeasurementError
from .noninferiority import DropBound, check_alpha, check_largest_loss, drop_margin

_MIN_ROUNDS = 100
MAX_UNDEFINED_SHARE = 0.1


def resampled_drop_bound(
    n: int,
    drop_of: Callable[[NDArray[np.int64]], float],
    *,
    largest_loss: float,
    alpha: float = 0.05,
    seed: int,
    rounds: int = 1000,
) -> DropBound:
    """Bound the drop of a pooled statistic by a paired bootstrap (Efron 1979) of its standard error.

    `drop_of` returns the baseline's statistic minus the candidate's over the samples of the given indices `(n,) int64`,
    in which samples repeat; NaN if it is undefined. `largest_loss` is how much the statistic falls, per share of all
    samples, if these samples lose all they can: for a mean of scores, the largest loss of a score; for ROC AUC, 1 / the
    share of the rarer class, since all failing samples may be of that class. `drop_margin` says what is added to the
    measured drop.

    Raises:
        MeasurementError: the statistic is undefined, for all samples or for more than a tenth of the resamples.
    """
    check_alpha(alpha)
    check_largest_loss(largest_loss)
    if n < 2 or rounds < _MIN_ROUNDS:
        raise MeasurementError(f"A bootstrap needs 2 samples and {_MIN_ROUNDS} rounds, but has {n} and {rounds}.")
    measured = float(drop_of(np.arange(n)))
    generator = np.random.default_rng(seed)
    drops = np.array([drop_of(generator.integers(0, n, n)) for _ in range(rounds)], dtype=np.float64)
    defined = drops[np.isfinite(drops)]
    if not math.isfinite(measured) or len(defined) < (1 - MAX_UNDEFINED_SHARE) * rounds:
        raise MeasurementError(
            f"The metric is undefined for {rounds - len(defined)} of {rounds} resamples of {n} samples: "
            "give more samples of the rarest class."
        )
    # The variance of a resample is (n - 1) / n of the variance that it estimates.
    error = float(defined.std(ddof=1)) * math.sqrt(n / (n - 1))
    return DropBound(measured, measured + drop_margin(error, n, largest_loss, alpha), n, "bootstrap", 1 - alpha)
