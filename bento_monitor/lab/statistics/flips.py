"""An exact bound on the drop of the share of correct answers, from the number of answers that flipped."""

from __future__ import annotations

import math

import numpy as np
from numpy.typing import NDArray

from ...errors import MeasurementError
from .noninferiority import DropBound, check_alpha

_CHURN_POINTS = 48
# A binomial variable lies outside of this window with a probability of less than 1e-12.
_WINDOW_SDS, _WINDOW_COUNTS = 8.0, 20
# Without this factor, outcomes in which most answers flip make the bound for few flips up to 0.6 % larger at some n.
_ORDER_FACTOR = 1.01


def flip_drop_bound(losses: int, gains: int, n: int, *, alpha: float = 0.05) -> DropBound:
    """Bound the drop of the share of correct answers: `losses` of `n` became wrong and `gains` of `n` became correct.

    The bound is exact and unconditional: whatever share of answers flips, the bound is below the true drop in at most
    `alpha` of samples. Outcomes `(losses, gains)` are ordered by an approximate bound. The result is the largest drop
    for which an outcome as low as the observed one has a probability of `alpha` at the worst share of flips (Buehler
    1957; Kabaila and Lloyd 2003). Without flips, the bound is `1 - alpha**(1/n)`.

    Raises:
        MeasurementError: the counts are negative or more than `n`, or `alpha` is out of range.
    """
    check_alpha(alpha)
    if losses < 0 or gains < 0 or n < 1 or losses + gains > n:
        raise MeasurementError(f"{losses} losses and {gains} gains cannot be counted in {n} samples.")
    mean = (losses - gains) / n
    return DropBound(mean, _solve(losses, gains, n, alpha), n, "flips", 1 - alpha)


def _solve(losses: int, gains: int, n: int, alpha: float) -> float:
    from scipy import optimize

    if losses == n:
        return 1.0
    most_losses, approximate = _outcomes_as_low(losses, gains, n, alpha)

    def excess(drop: float) -> float:
        return _probability(drop, n, most_losses) - alpha

    low, high = (losses - gains) / n, approximate / n
    low = low if excess(low) > 0 else -1.0
    while excess(high) > 0:
        low, high = high, min(1.0, high + 1.0 / n)
    return float(optimize.brentq(excess, low, high, xtol=1e-5 / n))


def _outcomes_as_low(losses: int, gains: int, n: int, alpha: float) -> tuple[NDArray[np.float64], float]:
    """Return, for each number of gains, the most losses that are ordered no higher; and the approximate bound times n.

    The order is `losses - gains + z * sqrt(losses + gains + c)`, where c is the constant that makes it the bound of a
    Poisson variable for losses alone. It rises with losses and falls with gains.
    """
    from scipy import special

    z = _ORDER_FACTOR * float(special.ndtri(1 - alpha))
    c = (z * z + 2) / 3
    order = losses - gains + z * math.sqrt(losses + gains + c)
    all_gains = np.arange(n + 1, dtype=np.float64)
    root = (np.sqrt(np.maximum(z * z + 4 * (order + 2 * all_gains + c), 0)) - z) / 2
    most = np.where(root > 0, np.floor(root * root - all_gains - c + 1e-9), -1.0)
    most[gains] = losses
    return np.minimum(most, n - all_gains), order + c


def _probability(drop: float, n: int, most_losses: NDArray[np.float64]) -> float:
    """Return the largest probability, over all shares of flips, of an outcome within `most_losses` at a true drop."""
    room = (1 - abs(drop)) / 2
    points = np.geomspace(min(0.02 / n, room), room, _CHURN_POINTS) if room > 0 else np.empty(0)
    churns = np.concatenate([[0.0], points])
    return max(
        _probability_at(churn + max(drop, 0), churn + max(-drop, 0), n, most_losses) for churn in churns.tolist()
    )


def _probability_at(loss_share: float, gain_share: float, n: int, most_losses: NDArray[np.float64]) -> float:
    from scipy import special

    reach = _WINDOW_SDS * math.sqrt(n * gain_share) + _WINDOW_COUNTS
    first, last = max(0, int(n * gain_share - reach)), min(n, math.ceil(n * gain_share + reach))
    gains = np.arange(first, last + 1, dtype=np.float64)
    most = most_losses[first : last + 1]
    gains, most = gains[most >= 0], most[most >= 0]
    weights = np.exp(
        special.gammaln(n + 1)
        - special.gammaln(gains + 1)
        - special.gammaln(n - gains + 1)
        + special.xlogy(gains, gain_share)
        + special.xlog1py(n - gains, -gain_share)
    )
    rest = min(loss_share / (1 - gain_share), 1.0) if gain_share < 1 else 0.0
    within = special.bdtr(most, (n - gains).astype(np.int64), rest)
    return float(weights @ within)
