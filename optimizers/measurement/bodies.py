"""Whether a served answer is the right one."""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Any

import numpy as np
from numpy.typing import NDArray

from bento_monitor.model_host.answer_values import Answers

# Who shares a batch moves an int8 model's answers: down to a cosine of 0.97 to its own, alone.
_LEAST_COSINE = 0.9
_RELATIVE_TOLERANCE = 0.05


def count_wrong(bodies_by_request: Mapping[int, bytes], sample_of: NDArray[np.int64], reference: Answers) -> int:
    """How many of the kept answers are not those of their samples.

    Args:
        bodies_by_request: response bodies by index of the request.
        sample_of: the sample that each request asked for, `(requests,)`.
        reference: the answers to all samples.
    """
    return sum(
        not is_same_answer(body, reference[int(sample_of[request])]) for request, body in bodies_by_request.items()
    )


def is_same_answer(body: bytes, expected: Any) -> bool:
    """Whether a response is an answer to the sample that `expected` answers, in any precision that is served."""
    wanted = expected.tolist() if isinstance(expected, np.ndarray | np.generic) else expected
    return any(_is_same(value, wanted) for value in _readings(body))


def cosine(left: NDArray[np.float32], right: NDArray[np.float32]) -> float:
    """The cosine between two answers, taken as flat vectors; 0 where one of them is all zeros."""
    product = float(np.linalg.norm(left) * np.linalg.norm(right))
    return float(np.dot(left.ravel(), right.ravel())) / product if product > 0 else 0.0


def _readings(body: bytes) -> list[Any]:
    """What a response may say: as it is, and without a batch axis of length 1."""
    text = body.decode(errors="replace")
    try:
        value = json.loads(body)
    except ValueError:
        return [text]
    readings = [text, value]
    if isinstance(value, list) and len(value) == 1:
        readings.append(value[0])
    if isinstance(value, dict) and all(isinstance(field, list) and len(field) == 1 for field in value.values()):
        readings.append({name: field[0] for name, field in value.items()})
    return readings


def _is_same(answer: Any, expected: Any) -> bool:
    if isinstance(answer, dict) and isinstance(expected, dict):
        return answer.keys() == expected.keys() and all(_is_same(answer[name], expected[name]) for name in expected)
    left, right = np.asarray(answer), np.asarray(expected)
    if left.shape != right.shape or left.dtype.kind not in "biuf" or right.dtype.kind not in "biuf":
        return bool(answer == expected)
    if not np.isfinite(left).all():
        return False
    if left.size == 1:
        return bool(np.allclose(left, right, rtol=_RELATIVE_TOLERANCE, atol=_RELATIVE_TOLERANCE))
    return cosine(left.astype(np.float32), right.astype(np.float32)) >= _LEAST_COSINE
