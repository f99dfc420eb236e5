"""Non-inferiority: how large the drop of a score can be, as an upper bound from paired samples."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal

import numpy as np
from numpy.typing import NDArray

from ...errors import MeasurementError

Method = Literal["flips", "t", "bootstrap"]
_MANY_LOSSES = 1e5  # the root of a count


@dataclass(frozen=True, slots=True)
class DropBound:
    """Drop of a score (baseline less candidate, higher scores are better) over `n` pairs, and its upper bound.

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
    """Bound the mean drop of real scores of the same samples, in the same order.

    `largest_losses` says how far each of the baseline's scores could still fall, in one number or one for each sample
    (0 where a score cannot fall). The largest of them counts, since the samples that lose most may be those that fail.
    See `drop_margin` for how the bound is formed.

    Raises:
        MeasurementError: the scores are no pairs, fewer than 2, or not finite; a largest loss is negative.
    """
    check_alpha(alpha)
    drops = _paired_drops(baseline, candidate)
    limits = np.asarray(largest_losses, dtype=np.float64)
    if limits.ndim and limits.shape != drops.shape:
        raise MeasurementError(f"There are {limits.shape} largest losses for {len(drops)} pairs of scores.")
    # What one sample has been seen to lose can be lost, whatever limit was given.
    limit = max(check_largest_loss(float(limits.max())), float(drops.max()), 0.0)
    if float(limits.min()) < 0:
        raise MeasurementError(f"A largest loss must be 0 or more, but one is {float(limits.min()):g}.")
    error = float(drops.std(ddof=1)) / math.sqrt(len(drops))
    mean = float(drops.mean())
    upper = min(mean + drop_margin(error, len(drops), limit, alpha), limit)
    return DropBound(mean, upper, len(drops), "t", 1 - alpha)


def drop_margin(error: float, n: int, largest_loss: float, alpha: float) -> float:
    """What is added to a measured drop of standard error `error`: Student's t, floored by rare losses.

    Student's t takes the spread that was seen for the whole spread. A rare sample that loses all it can is mostly
    unseen, and makes the spread seem small together with the mean. The floor takes the spread for what whole losses
    make: `v = (n * error / largest_loss)**2` of them, a number that need not be whole. Their count is a Poisson
    variable, whose exact upper bound (Garwood 1936) is a quantile of the gamma distribution; the continuation to
    numbers that are not whole is that of the gamma intervals for weighted sums (Fay and Feuer 1997). Where nothing was
    lost, `v = 0` and the floor is `-ln(alpha) / n * largest_loss`: what a share of `1 - alpha**(1/n)` could lose that
    `n` samples do not show. Where many lost, the floor is a normal bound and 1.6 largest losses more.
    """
    from scipy import special

    student = float(special.stdtrit(n - 1, 1 - alpha)) * error
    if largest_loss * _MANY_LOSSES < n * error:
        return student  # the floor is the same but for less than float64 can tell
    count = (n * error / largest_loss) ** 2 if error else 0.0
    unseen = float(special.gammaincinv(count + 1, 1 - alpha)) - count
    return max(student, unseen * largest_loss / n)


def samples_for(
    tolerance: float, *, largest_loss: float = 1.0, alpha: float = 0.05, method: Method | None = None
) -> int:
    """The least number of samples that proves a drop of at most `tolerance` where no drop at all is seen.

    With fewer samples no result proves it; with a drop or answers that differ, more are needed. Where `method` is not
    given, the number is enough for every method.

    Raises:
        MeasurementError: `tolerance` is not above 0, or `alpha` or `largest_loss` cannot be used.
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
    """Refuse a share of wrong bounds that is no share, or more than a half.

    Raises:
        MeasurementError: it is not above 0 and at most 0.5.
    """
    if not 0 < alpha <= 0.5:
        raise MeasurementError(f"alpha must be above 0 and at most 0.5, but is {alpha:g}.")


def check_largest_loss(largest_loss: float) -> float:
    """The largest loss of a score, which must be a finite number of at least 0.

    Raises:
        MeasurementError: it is not.
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
        raise MeasurementError(f"Scores of shape {baseline.shape} and {candidate.shape} are no 2 or more pairs.")
    drops = baseline - candidate
    if not np.isfinite(drops).all():
        raise MeasurementError("Scores must be finite numbers: one is NaN or infinite.")
    return drops
