"""Whether rows of numbers differ by more than rounding, relative to the distances between different samples' rows."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from .metrics.agreement import cosines

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

# Batch composition changes an int8 model's vectors: down to a cosine of 0.97 with the vector from a batch of one.
_LARGEST_COSINE_LOSS = 0.1
_LARGEST_NORM_CHANGE = 0.1
_SHARE_OF_DISTANCE = 0.25
_SHARE_OF_SPREAD = 0.05
_ROUNDING = 1e-3
_PAIRS = 4096
_MIN_NEARER_SHARE = 0.75
_LARGEST_SCALE_CHANGE = 0.1


def vectors_differ(own: NDArray[Any], expected: NDArray[Any], found: NDArray[Any]) -> NDArray[np.bool_]:
    """Return which found vectors differ from the expected ones in cosine or norm; `own` has the vectors of all samples.

    The limit on the cosine distance is a quarter of the typical cosine distance between two samples, so that vectors
    that all point in one direction are distinguished too. A vector of zeros equals only another vector of zeros.
    """
    import numpy as np

    left, right = _pairs(len(own))
    distances = 1 - cosines(own[left], own[right])
    is_apart = distances > _ROUNDING**2
    typical = float(np.median(distances[is_apart])) if is_apart.any() else 0.0
    limit = max(min(_LARGEST_COSINE_LOSS, _SHARE_OF_DISTANCE * typical), _ROUNDING**2)
    norms, found_norms = np.linalg.norm(expected, axis=1), np.linalg.norm(found, axis=1)
    tiny = 1e-6 * float(np.median(np.linalg.norm(own, axis=1))) + np.finfo(np.float64).tiny
    is_zero, is_found_zero = norms <= tiny, found_norms <= tiny
    change = np.abs(found_norms / np.maximum(norms, tiny) - 1)
    is_off = (1 - cosines(expected, found) > limit) | (change > _LARGEST_NORM_CHANGE)
    return np.asarray(np.where(is_zero | is_found_zero, is_zero != is_found_zero, is_off))


def numbers_differ(expected: NDArray[Any], found: NDArray[Any], limit: float) -> NDArray[np.bool_]:
    """Return which rows differ from the expected ones by more than `limit` plus rounding."""
    import numpy as np

    expected, found = _rows(expected), _rows(found)
    return np.asarray(np.linalg.norm(found - expected, axis=1) > limit + _rounding(expected))


def largest_change(own: NDArray[Any], *, is_bounded: bool) -> float:
    """Return how far a row may deviate: a quarter of the median distance between two different rows.

    The result is at least a twentieth of the spread: nearly all probabilities of a confident model are 0, and their
    differences do not matter. The spread of unbounded numbers is limited to the 99 % quantile of the distances, so that
    a few outliers do not increase it.
    """
    import numpy as np

    own = _rows(own)
    left, right = _pairs(len(own))
    apart = np.linalg.norm(own[left] - own[right], axis=1)
    distinct = apart[apart > _ROUNDING * float(np.median(np.linalg.norm(own, axis=1))) + np.finfo(np.float64).tiny]
    typical = float(np.median(distinct)) if len(distinct) else 0.0
    spread = float(np.sqrt((apart**2).mean()))
    if not is_bounded:
        spread = min(spread, float(np.quantile(apart, 0.99)))
    return max(_SHARE_OF_DISTANCE * typical, _SHARE_OF_SPREAD * spread)


def why_another_model(own: NDArray[Any], samples: NDArray[np.int64], found: NDArray[Any], limit: float) -> str | None:
    """Return why the answers to `samples` cannot come from the model that gave `own`; None if they can.

    All answers are judged together. Too few are nearer to their own sample's row than to other rows more than `limit`
    away, or their scale differs. A few outliers hide neither.
    """
    import numpy as np

    own, found = _rows(own), _rows(found)
    expected = own[samples]
    others = own[np.random.default_rng(0).integers(0, len(own), (8, len(samples)))]
    own_distance = np.linalg.norm(found - expected, axis=1)
    other_distance = np.linalg.norm(found - others, axis=2)
    is_distinct = np.linalg.norm(others - expected, axis=2) > limit + _rounding(expected)
    if is_distinct.any():
        nearer = float((own_distance < other_distance)[is_distinct].mean())
        if nearer < _MIN_NEARER_SHARE:
            return f"only {nearer:.0%} are nearer to their own sample's answer than to another's"
    size = float((expected**2).sum())
    if size > 0:
        scale = float((found * expected).sum()) / size
        if abs(scale - 1) > _LARGEST_SCALE_CHANGE:
            return f"they are {scale:.3g} times the expected size"
    return None


def _rounding(expected: NDArray[np.float64]) -> NDArray[np.float64]:
    import numpy as np

    return np.asarray(1e-4 * np.linalg.norm(expected, axis=1) + 1e-9)


def _pairs(count: int) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
    import numpy as np

    generator = np.random.default_rng(0)
    left = generator.integers(0, count, _PAIRS)
    return left, (left + generator.integers(1, max(count, 2), _PAIRS)) % count


def _rows(array: NDArray[Any]) -> NDArray[np.float64]:
    import numpy as np

    return np.asarray(array.reshape(len(array), -1), dtype=np.float64)
