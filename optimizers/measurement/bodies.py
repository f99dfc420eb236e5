"""The user's samples as request bodies, and whether an answer is the right one."""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Any

import numpy as np
from numpy.typing import NDArray

# Who shares a batch moves an int8 model's answers: down to a cosine of 0.97 to its own, alone.
_LEAST_COSINE = 0.9
_RELATIVE_TOLERANCE = 0.05


def request_bodies(input_name: str, samples: NDArray[Any]) -> list[bytes]:
    """One JSON body a sample, each a request of one row."""
    return [json.dumps({input_name: [sample]}).encode() for sample in samples.tolist()]


def count_wrong(
    bodies_by_request: Mapping[int, bytes], sample_of: NDArray[np.int64], reference: NDArray[np.float32]
) -> int:
    """How many of the kept answers are not those of their samples.

    Args:
        bodies_by_request: response bodies by index of the request.
        sample_of: the sample that each request asked for, `(requests,)`.
        reference: the answers to all samples, `(samples, ...)`.
    """
    return sum(
        not is_same_answer(body, reference[int(sample_of[request])]) for request, body in bodies_by_request.items()
    )


def parse_answer(body: bytes) -> NDArray[np.float32] | None:
    """The one row of a response; None where it holds anything else."""
    try:
        answer = np.asarray(json.loads(body), dtype=np.float32)
    except (ValueError, TypeError):
        return None
    return answer[0] if answer.ndim >= 1 and len(answer) == 1 else None


def is_same_answer(body: bytes, expected: NDArray[np.float32]) -> bool:
    """Whether a response is an answer to the sample that `expected` answers, in any precision that is served."""
    answer = parse_answer(body)
    if answer is None or answer.shape != expected.shape or not np.isfinite(answer).all():
        return False
    if answer.size == 1:
        return bool(np.allclose(answer, expected, rtol=_RELATIVE_TOLERANCE, atol=_RELATIVE_TOLERANCE))
    return cosine(answer, expected) >= _LEAST_COSINE


def cosine(left: NDArray[np.float32], right: NDArray[np.float32]) -> float:
    """The cosine between two answers, taken as flat vectors; 0 where one of them is all zeros."""
    product = float(np.linalg.norm(left) * np.linalg.norm(right))
    return float(np.dot(left.ravel(), right.ravel())) / product if product > 0 else 0.0
