"""Whether rows of numbers differ by more than rounding, seen from how far different samples' rows lie apart."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from .metrics.agreement import cosines

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

# Who shares a batch moves an int8 model's vectors: down to a cosine of 0.97 to its own, alone.
_LARGEST_COSINE_LOSS = 0.1
_LARGEST_NORM_CHANGE = 0.1
_SHARE_OF_DISTANCE = 0.25
_SHARE_OF_SPREAD = 0.05
_ROUNDING = 1e-3
_PAIRS = 4096
_LEAST_NEARER_SHARE = 0.75
_LARGEST_SCALE_CHANGE = 0.1


def vectors_differ(own: NDArray[Any], expected: NDArray[Any], found: NDArray[Any]) -> NDArray[np.bool_]:
    """Which vectors have another cosine or norm; `own` are the vectors of all samples.

    How much of the cosine may be missing is a quarter of what is missing between two samples, so that vectors that all
    point one way are told apart too. A vector of zeros is equal to another one alone.
    """
    import numpy as np

    left, right = _pairs(len(own))
    missing = 1 - cosines(own[left], own[right])
    is_apart = missing > _ROUNDING**2
    typical = float(np.median(missing[is_apart])) if is_apart.any() else 0.0
    limit = max(min(_LARGEST_COSINE_LOSS, _SHARE_OF_DISTANCE * typical), _ROUNDING**2)
    norms, found_norms = np.linalg.norm(expected, axis=1), np.linalg.norm(found, axis=1)
    tiny = 1e-6 * float(np.median(np.linalg.norm(own, axis=1))) + np.finfo(np.float64).tiny
    is_zero, is_found_zero = norms <= tiny, found_norms <= tiny
    change = np.abs(found_norms / np.maximum(norms, tiny) - 1)
    is_off = (1 - cosines(expected, found) > limit) | (change > _LARGEST_NORM_CHANGE)
    return np.asarray(np.where(is_zero | is_found_zero, is_zero != is_found_zero, is_off))


def numbers_differ(expected: NDArray[Any], found: NDArray[Any], limit: float) -> NDArray[np.bool_]:
    """Which rows are further from those expected than `limit`, and than rounding."""
    import numpy as np

    expected, found = _rows(expected), _rows(found)
    return np.asarray(np.linalg.norm(found - expected, axis=1) > limit + _rounding(expected))


def largest_change(own: NDArray[Any], *, is_bounded: bool) -> float:
    """How far a row may be off: a quarter of the usual distance of two rows that differ.

    At least a twentieth of the spread, since nearly all probabilities of a model that is sure are 0, and differ by
    nothing that matters. The spread of numbers without a bound is that of 99 % of pairs: few outliers make it no wider.
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


def another_model(own: NDArray[Any], samples: NDArray[np.int64], found: NDArray[Any], limit: float) -> str | None:
    """Why the answers to `samples` cannot be those of `own`, in words; None where they can.

    Seen over all answers: they are not nearer to their own samples' rows than to others' that are further than `limit`
    away, or their scale is another. Few rows that are far out hide neither.
    """
    import numpy as np

    own, found = _rows(own), _rows(found)
    expected = own[samples]
    others = own[np.random.default_rng(0).integers(0, len(own), (8, len(samples)))]
    own_distance = np.linalg.norm(found - expected, axis=1)
    other_distance = np.linalg.norm(found - others, axis=2)
    is_told_apart = np.linalg.norm(others - expected, axis=2) > limit + _rounding(expected)
    if is_told_apart.any():
        nearer = float((own_distance < other_distance)[is_told_apart].mean())
        if nearer < _LEAST_NEARER_SHARE:
            return f"only {nearer:.0%} are nearer to their own sample's answer than to another's"
    size = float((expected**2).sum())
    if size > 0:
        scale = float((found * expected).sum()) / size
        if abs(scale - 1) > _LARGEST_SCALE_CHANGE:
            return f"they are {scale:.3g} times what they should be"
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
