"""Non-inferiority: an upper bound on the drop of a score, from paired samples."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal

import numpy as np
from numpy.typing import NDArray

from ...errors import MeasurementError

Method = Literal["flips", "t", "bootstrap"]
_MANY_LOSSES = 1e5  # the square root of a count


@dataclass(frozen=True, slots=True)
class DropBound:
    """The drop of a score (baseline minus candidate, higher scores are better) over `n` pairs, and its upper bound.

    The true drop is at most `upper` with the one-sided `confidence`. `method` says where `upper` comes from: an exact
    bound for 0/1 scores ("flips"), Student's t for means, or a paired bootstrap for pooled statistics.
    """

    mean_drop: float
    upper: float
    n: int
    method: Method
    confidence: float


def score_drop_bound(
    baseline: Sequence[float] | NDArray[np.float64],
    candidate: Sequence[float] | NDArray[np.float64],
    *,
    largest_losses: float | Sequence[float] | NDArray[np.float64],
    alpha: float = 0.05,
) -> DropBound:
    """Bound the mean drop of real-valued scores of the same samples, in the same order.

    `largest_losses` is how far each of the baseline's scores could still fall: one number, or one for each sample (0 if
    a score cannot fall). The largest of them counts, since the samples that can lose most may be those that fail.
    See `drop_margin` for how the bound is formed.

    Raises:
        MeasurementError: the scores are not pairs, are fewer than 2, or are not finite; a largest loss is negative.
    """
    check_alpha(alpha)
    drops = _paired_drops(baseline, candidate)
    limits = np.asarray(largest_losses, dtype=np.float64)
    if limits.ndim and limits.shape != drops.shape:
        raise MeasurementError(f"There are {limits.shape} largest losses for {len(drops)} pairs of scores.")
    # A loss that was observed is possible, whatever limit was given.
    limit = max(check_largest_loss(float(limits.max())), float(drops.max()), 0.0)
    if float(limits.min()) < 0:
        raise MeasurementError(f"A largest loss must be 0 or more, but one is {float(limits.min()):g}.")
    error = float(drops.std(ddof=1)) / math.sqrt(len(drops))
    mean = float(drops.mean())
    upper = min(mean + drop_margin(error, len(drops), limit, alpha), limit)
    return DropBound(mean, upper, len(drops), "t", 1 - alpha)


def drop_margin(error: float, n: int, largest_loss: float, alpha: float) -> float:
    """Return the margin to add to a measured drop of standard error `error`: Student's t, with a floor for rare losses.

    Student's t takes the observed spread for the true spread. A rare sample that loses all it can is mostly not
    observed, and then both the spread and the mean look small. The floor assumes that the spread comes from full
    losses: `v = (n * error / largest_loss)**2` of them, a number that need not be an integer. Their count is a Poisson
    variable, whose exact upper bound (Garwood 1936) is a quantile of the gamma distribution; the extension to numbers
    that are not integers is that of the gamma intervals for weighted sums (Fay and Feuer 1997). If nothing was lost,
    `v = 0` and the floor is `-ln(alpha) / n * largest_loss`: the possible loss of a share of `1 - alpha**(1/n)` that
    `n` samples do not show. If many samples lost, the floor is a normal bound plus 1.6 largest losses.
    """
    from scipy import special

    student = float(special.stdtrit(n - 1, 1 - alpha)) * error
    if largest_loss * _MANY_LOSSES < n * error:
        return student  # the floor differs by less than float64 can resolve
    count = (n * error / largest_loss) ** 2 if error else 0.0
    unseen = float(special.gammaincinv(count + 1, 1 - alpha)) - count
    return max(student, unseen * largest_loss / n)


def samples_for(
    tolerance: float, *, largest_loss: float = 1.0, alpha: float = 0.05, method: Method | None = None
) -> int:
    """Return the least number of samples that proves a drop of at most `tolerance` if no drop at all is observed.

    With fewer samples, no result proves it; with an observed drop or differing answers, more samples are needed.
    Without `method`, the number is enough for every method.

    Raises:
        MeasurementError: `tolerance` is not above 0, or `alpha` or `largest_loss` is out of range.
    """
    check_alpha(alpha)
    check_largest_loss(largest_loss)
    if not (math.isfinite(tolerance) and tolerance > 0):
        raise MeasurementError(
            f"A drop of at most {tolerance:g} cannot be proved by any number of samples: allow one above 0."
        )
    if tolerance >= largest_loss:
        return 1 if method == "flips" else 2
    if method == "flips":
        return math.ceil(math.log(alpha) / math.log1p(-tolerance) - 1e-9)
    return max(2, math.ceil(-math.log(alpha) * largest_loss / tolerance - 1e-9))


def check_alpha(alpha: float) -> None:
    """Refuse an `alpha`, the share of wrong bounds, that is out of range.

    Raises:
        MeasurementError: `alpha` is not above 0 and at most 0.5.
    """
    if not 0 < alpha <= 0.5:
        raise MeasurementError(f"alpha must be above 0 and at most 0.5, but is {alpha:g}.")


def check_largest_loss(largest_loss: float) -> float:
    """Return the largest loss of a score, after checking that it is a finite number of at least 0.

    Raises:
        MeasurementError: `largest_loss` is not such a number.
    """
    if not (math.isfinite(largest_loss) and largest_loss >= 0):
        raise MeasurementError(
            f"A largest loss must be a finite number of 0 or more, but is {largest_loss:g}: cap unlimited scores."
        )
    return largest_loss


def _paired_drops(
    baseline_scores: Sequence[float] | NDArray[np.float64], candidate_scores: Sequence[float] | NDArray[np.float64]
) -> NDArray[np.float64]:
    baseline = np.asarray(baseline_scores, dtype=np.float64)
    candidate = np.asarray(candidate_scores, dtype=np.float64)
    if baseline.shape != candidate.shape or baseline.ndim != 1 or len(baseline) < 2:
        raise MeasurementError(f"Scores of shape {baseline.shape} and {candidate.shape} must be 2 or more pairs.")
    drops = baseline - candidate
    if not np.isfinite(drops).all():
        raise MeasurementError("Scores must be finite numbers: one is NaN or infinite.")
    return drops
