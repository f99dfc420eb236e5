"""JSON answers of any shape: a part that must be equal, numbers that may differ by rounding, and sentences."""

from __future__ import annotations

import json
import math
from typing import Any

from .text_changes import is_sentence, texts_differ

_NUMBER, _SENTENCE = "<number>", "<sentence>"


def skeleton_of(answer: Any) -> str:
    """Return the part that must be equal: the answer without its finite floats and its sentences."""
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


def sentences_of(answer: Any) -> list[str]:
    """Return the sentences that the skeleton leaves out, in its order."""
    if isinstance(answer, dict):
        return [text for key in sorted(answer, key=str) for text in sentences_of(answer[key])]
    if isinstance(answer, list | tuple):
        return [text for each in answer for text in sentences_of(each)]
    value = _plain(answer)
    if isinstance(value, list):
        return sentences_of(value)
    return [value] if isinstance(value, str) and is_sentence(value) else []


def differ_beside_numbers(expected: Any, found: Any) -> bool:
    """Whether two answers differ in the part that must be equal, or in most words of a sentence."""
    if skeleton_of(expected) != skeleton_of(found):
        return True
    return any(map(texts_differ, sentences_of(expected), sentences_of(found)))


def _replace(answer: Any) -> Any:
    if isinstance(answer, dict):
        return {str(key): _replace(each) for key, each in answer.items()}
    if isinstance(answer, list | tuple):
        return [_replace(each) for each in answer]
    value = _plain(answer)
    if isinstance(value, list):
        return _replace(value)
    if _is_number(value):
        return _NUMBER
    return _SENTENCE if isinstance(value, str) and is_sentence(value) else value


def _is_number(value: Any) -> bool:
    """Whether a value is a finite float; NaN belongs to the skeleton, so that it must be NaN in both answers."""
    return isinstance(value, float) and math.isfinite(value)


def _plain(value: Any) -> Any:
    """Return a numpy scalar or array as a JSON value."""
    return value.tolist() if hasattr(value, "tolist") else value
