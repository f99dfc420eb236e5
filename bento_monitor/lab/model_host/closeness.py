"""Comparison of two models' outputs: floats by their largest difference, other types by equality."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

LARGEST = 1.7e308  # represents an infinite difference: JSON has no infinity
TOLERANCE = 1e-3  # of the largest value of an output; float32 exports were within 1e-5
_HALF_TOLERANCE = 1e-2
_MIN_SCALE = 1e-3  # float32 sums that cancel leave about 1e-7 where the true value is 0
_UNSTEADINESS = 10.0
_CHANGED_SHARE = 0.005


def same_outputs(
    expected: Sequence[Any], found: Sequence[Any], *, jittered: Sequence[Any] | None = None, only_finite: bool = False
) -> bool:
    """Whether two models' outputs agree, array by array.

    `jittered` are the first model's outputs for inputs that differ by rounding: where these differ, the second model's
    may differ too. With `only_finite`, elements that are NaN or infinite in `expected` are left out.
    """
    others = expected if jittered is None else jittered
    return len(expected) == len(found) and all(
        _is_same(left, right, other, only_finite) for left, right, other in zip(expected, found, others, strict=True)
    )


def largest_difference(expected: Sequence[Any], found: Sequence[Any]) -> tuple[float, float]:
    """Return the largest difference of any element (infinite if shapes or NaNs differ), and the largest value."""
    import numpy as np

    difference = value = 0.0
    for left, right in zip(expected, found, strict=True):
        if left.shape != right.shape:
            return float("inf"), value
        if left.dtype.kind in "US":
            difference = max(difference, float((left != right).any()))
            continue
        wide = complex if left.dtype.kind == "c" else float
        with np.errstate(invalid="ignore"):
            gap = np.abs(left.astype(wide) - right.astype(wide))
        gap = np.where(_both_same(left, right), 0.0, np.where(np.isnan(gap), np.inf, gap))
        difference = max(difference, float(gap.max(initial=0.0)))
        finite = np.abs(left[np.isfinite(left)].astype(wide))
        value = max(value, float(finite.max(initial=0.0)))
    return difference, value


def _is_same(expected: Any, found: Any, other: Any, only_finite: bool) -> bool:
    import numpy as np

    if expected.shape != found.shape:
        return False
    is_steady = expected.shape == other.shape
    if expected.dtype.kind not in "fc":
        changed = expected != found
        if is_steady:
            changed &= expected == other
        return bool(changed.mean() <= _CHANGED_SHARE) if changed.size else True
    wide = complex if expected.dtype.kind == "c" else float
    left, right = expected.astype(wide), found.astype(wide)
    finite = np.isfinite(left)
    if not only_finite and not _both_same(left, right)[~finite].all():
        return False
    left, right = left[finite], right[finite]
    scale = max(float(np.abs(left).max(initial=0.0)), _MIN_SCALE)
    allowed = (_HALF_TOLERANCE if expected.dtype.itemsize == 2 else TOLERANCE) * scale
    if is_steady:
        gap = np.abs(other.astype(wide)[finite] - left)
        allowed += _UNSTEADINESS * float(gap.max(initial=0.0, where=np.isfinite(gap)))
    return bool((np.abs(left - right) <= allowed).all())


def _both_same(left: Any, right: Any) -> Any:
    import numpy as np

    return (left == right) | (np.isnan(left) & np.isnan(right))
