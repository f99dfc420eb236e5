"""Conversion of served responses to the form of the reference answers."""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Any

import numpy as np
from numpy.typing import NDArray

from bento_monitor.lab.model_host.answer_values import Answers


def served_answers(
    bodies_by_request: Mapping[int, bytes], sample_of: NDArray[np.int64], reference: Answers
) -> list[tuple[int, Any]]:
    """Return each kept response as an answer, with the sample that it answers.

    Args:
        bodies_by_request: response bodies by index of the request.
        sample_of: the sample of each request, `(requests,)`.
        reference: the answers to all samples; they show whether a response has an extra batch axis of length 1.
    """
    served = []
    for request, body in bodies_by_request.items():
        sample = int(sample_of[request])
        served.append((sample, _answer(body, reference[sample])))
    return served


def _answer(body: bytes, reference: Any) -> Any:
    expected = reference.tolist() if isinstance(reference, np.ndarray | np.generic) else reference
    try:
        value = json.loads(body)
    except ValueError:
        return body.decode(errors="replace")
    if isinstance(expected, str) and not isinstance(value, str | list):
        return body.decode()
    return _without_batch_axis(value, expected)


def _without_batch_axis(value: Any, expected: Any) -> Any:
    if isinstance(value, dict) and isinstance(expected, dict):
        return {name: _without_batch_axis(field, expected.get(name)) for name, field in value.items()}
    if isinstance(value, list) and len(value) == 1 and _depth(value) == _depth(expected) + 1:
        return value[0]
    return value


def _depth(value: Any) -> int:
    return 1 + _depth(value[0]) if isinstance(value, list) and value else int(isinstance(value, list))
