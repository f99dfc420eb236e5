"""JSON answers of any shape: a part that must be equal, and numbers and sentences that may differ by rounding."""

from __future__ import annotations

import json
import math
from typing import Any

from .text_changes import texts_differ

_NUMBER = "<number>"


def skeleton_of(answer: Any) -> str:
    """Return the part that must be equal: the answer without its finite floats."""
    return json.dumps(_replace(answer), sort_keys=True, default=str)


def numbers_of(answer: Any) -> list[float]:
    """Return the finite floats that the skeleton leaves out, in its order."""
    if isinstance(answer, dict):
        return [number for key in sorted(answer, key=str) for number in numbers_of(answer[key])]
    if isinstance(answer, list | tuple):
        return [number for each in answer for number in numbers_of(each)]
    value = _plain(answer)
    if isinstance(value, list):
        return numbers_of(value)
    return [value] if _is_number(value) else []


def differ_beside_numbers(expected: Any, found: Any) -> bool:
    """Whether two answers differ in anything but finite floats; of a sentence, most words must differ."""
    left, right = _plain(expected), _plain(found)
    if isinstance(left, dict) and isinstance(right, dict):
        left, right = ({str(key): value for key, value in each.items()} for each in (left, right))
        return left.keys() != right.keys() or any(differ_beside_numbers(left[key], right[key]) for key in left)
    if isinstance(left, list | tuple) and isinstance(right, list | tuple):
        return len(left) != len(right) or any(map(differ_beside_numbers, left, right))
    if isinstance(left, str) and isinstance(right, str):
        return texts_differ(left, right)
    return skeleton_of(left) != skeleton_of(right)


def _replace(answer: Any) -> Any:
    if isinstance(answer, dict):
        return {str(key): _replace(each) for key, each in answer.items()}
    if isinstance(answer, list | tuple):
        return [_replace(each) for each in answer]
    value = _plain(answer)
    if isinstance(value, list):
        return _replace(value)
    return _NUMBER if _is_number(value) else value


def _is_number(value: Any) -> bool:
    """Whether a value is a finite float; NaN belongs to the skeleton, so that it must be NaN in both answers."""
    return isinstance(value, float) and math.isfinite(value)


def _plain(value: Any) -> Any:
    """Return a numpy scalar or array as a JSON value."""
    return value.tolist() if hasattr(value, "tolist") else value
