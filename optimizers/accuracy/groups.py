"""Samples that belong together, such as all windows of one machine: they are split, resampled and counted as one."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from .metrics import Pooled, Scores

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray


def group_numbers(groups: NDArray[Any]) -> NDArray[np.int64]:
    """Return the number of each sample's group, `(n,)`, from 0 on."""
    import numpy as np

    return np.unique(groups, return_inverse=True)[1].reshape(-1).astype(np.int64)


def pool_by_group(evaluated: Scores | Pooled, groups: NDArray[np.int64]) -> Pooled:
    """Return the same value as a statistic over whole groups: a resample has all samples of a group, or none.

    `groups` is what `group_numbers` returns. If a whole group fails, the value falls by as much as its share of
    the samples, so the largest loss is that of the largest group.
    """
    import numpy as np

    sizes = np.bincount(groups).astype(np.float64)
    if isinstance(evaluated, Pooled):
        pooled = evaluated

        def score(counts: NDArray[np.int64]) -> float:
            return pooled.score(counts[groups])

        largest_loss = pooled.largest_loss * float(sizes.max() / sizes.mean())
        return Pooled(len(sizes), pooled.value, score, largest_loss, pooled.capped)
    totals = np.bincount(groups, weights=evaluated.values)
    losses = np.bincount(groups, weights=np.broadcast_to(evaluated.largest_losses, evaluated.values.shape))

    def mean(counts: NDArray[np.int64]) -> float:
        return float(counts @ totals / (counts @ sizes))

    largest_loss = float(losses.max() / sizes.mean())
    return Pooled(len(sizes), evaluated.value, mean, largest_loss, evaluated.capped)
