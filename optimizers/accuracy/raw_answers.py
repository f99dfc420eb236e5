"""JSON answers of any shape, split into a part that must be equal and numbers that may differ by rounding."""

from __future__ import annotations

import json
import math
from typing import Any

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
