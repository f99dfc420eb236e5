"""The requests of each workload, and a client that checks the responses before and after a block."""

from __future__ import annotations

import http.client
import importlib
import json
import sys
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from itertools import chain

import numpy as np
from served.search_noted import EXAMPLE

CHECKED = 100
_BATCHED = ("batched", "batch_model", "shedding_model")
_CONNECTIONS = 4
_ARRAY = np.random.default_rng(2).normal(size=(8, 64)).astype(np.float32).round(3).tolist()
_TEXTS = 400
# The same weights on the same kernels: another batch only changes the order of sums.
_TOLERANCE = 1e-3


def are_close(answer: bytes, expected: bytes) -> bool:
    """Return whether two responses hold the same numbers."""
    try:
        numbers, wanted = np.asarray(json.loads(answer)), np.asarray(json.loads(expected))
        return numbers.shape == wanted.shape and bool(np.allclose(numbers, wanted, rtol=0, atol=_TOLERANCE))
    except (ValueError, TypeError):
        return False


@dataclass(frozen=True, slots=True)
class Workload:
    """A path, the bodies sent to it in turn, the test for equal responses, and headers of the load's requests."""

    path: str
    bodies: tuple[bytes, ...]
    is_same: Callable[[bytes, bytes], bool] = field(default=bytes.__eq__)
    headers: tuple[tuple[str, str], ...] = ()

    def count_wrong(self, port: int, expected: Sequence[bytes]) -> int:
        """Count how many of 100 responses are not as expected; a missing one is not."""
        pairs = zip(self.ask(port), expected, strict=True)
        return sum(answer is None or not self.is_same(answer, wanted) for answer, wanted in pairs)

    def expect(self, port: int) -> list[bytes]:
        """Return the server's 100 responses to single requests, the reference of all comparisons."""
        answers = self.ask(port, connections=1)
        found = [answer for answer in answers if answer is not None]
        if len(found) < len(answers):
            raise RuntimeError(f"{self.path}: {len(answers) - len(found)} of {len(answers)} responses are missing.")
        return found

    def ask(self, port: int, connections: int = _CONNECTIONS) -> list[bytes | None]:
        """Return the responses to 100 requests; None if there was none, or not a 2xx."""
        bodies = [self.bodies[index % len(self.bodies)] for index in range(CHECKED)]
        size = CHECKED // connections
        parts = [bodies[start : start + size] for start in range(0, CHECKED, size)]
        with ThreadPoolExecutor(connections) as pool:
            return list(chain.from_iterable(pool.map(lambda part: _ask_each(port, self.path, part), parts)))


def _ask_each(port: int, path: str, bodies: Sequence[bytes]) -> list[bytes | None]:
    answers: list[bytes | None] = []
    connection = http.client.HTTPConnection("127.0.0.1", port, timeout=30)
    for body in bodies:
        try:
            connection.request("POST", path, body, {"Content-Type": "application/json"})
            response = connection.getresponse()
            content = response.read()
            answers.append(content if response.status // 100 == 2 else None)
        except (OSError, http.client.HTTPException):
            connection.close()
            answers.append(None)
    connection.close()
    return answers


def plain_workload(name: str) -> Workload:
    """Return a workload of `served.plain` by its name."""
    bodies = {
        "embedding": {"text": "what the service is asked"},
        "numpy": {"a": _ARRAY},
        **{key: {"xs": [3]} for key in _BATCHED},
    }
    return Workload(f"/{name}", (json.dumps(bodies.get(name, {"x": 3})).encode(),))


def search_workload() -> Workload:
    """Return the workload of the semantic-search service: several hundred sentences, one per request."""
    sys.path.insert(0, str(EXAMPLE))
    every, _ = importlib.import_module("sentences").load_sentences()
    sentences = np.random.default_rng(3).choice(every, _TEXTS, replace=False).tolist()
    bodies = tuple(json.dumps({"sentences": [sentence]}).encode() for sentence in sentences)
    return Workload("/embed", bodies, are_close)
