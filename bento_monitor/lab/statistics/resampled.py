"""A bound for the drop of a statistic that is no mean over samples: F1, ROC AUC, recall@k."""

from __future__ import annotations

import math
from collections.abc import Callable

import numpy as np
from numpy.typing import NDArray

from ...errors import MeasurementError
from .noninferiority import DropBound, check_alpha, check_largest_loss, drop_margin

_LEAST_ROUNDS = 100
MOST_UNDEFINED_SHARE = 0.1


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

    `drop_of` gives the statistic of the baseline less that of the candidate over the samples of the given indices
    `(n,) int64`, in which samples repeat; NaN where it is undefined. `largest_loss` is what the statistic falls by, for
    each share of all samples, where these lose all they can: for a mean of scores the largest loss of a score, for ROC
    AUC 1 / the share of the rarer class, since the samples that fail may all be of that class. `drop_margin` says
    what is added to the measured drop.

    Raises:
        MeasurementError: the statistic is undefined, for all samples or for more than a tenth of the resamples.
    """
    check_alpha(alpha)
    check_largest_loss(largest_loss)
    if n < 2 or rounds < _LEAST_ROUNDS:
        raise MeasurementError(f"A bootstrap needs 2 samples and {_LEAST_ROUNDS} rounds, but has {n} and {rounds}.")
    seen = float(drop_of(np.arange(n)))
    generator = np.random.default_rng(seed)
    drops = np.array([drop_of(generator.integers(0, n, n)) for _ in range(rounds)], dtype=np.float64)
    defined = drops[np.isfinite(drops)]
    if not math.isfinite(seen) or len(defined) < (1 - MOST_UNDEFINED_SHARE) * rounds:
        raise MeasurementError(
            f"The metric is undefined for {rounds - len(defined)} of {rounds} resamples of {n} samples: "
            "give more samples of the rarest class."
        )
    # A resample spreads by (n - 1) / n of the variance that it stands for.
    error = float(defined.std(ddof=1)) * math.sqrt(n / (n - 1))
    return DropBound(seen, seen + drop_margin(error, n, largest_loss, alpha), n, "bootstrap", 1 - alpha)
