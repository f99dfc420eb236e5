"""Any function and any object with methods can be wrapped: calls work as before, and each is traced.

Seen before: an object with `encode` and a function were refused with "wraps a torch.nn.Module or the path of an ONNX
file".
"""

from __future__ import annotations

import asyncio
import functools
from collections.abc import AsyncIterator, Iterator
from typing import Any

import pytest
import torch

from bento_monitor.errors import ReleaseError, ServiceError
from bento_monitor.runner import MonitoredRunner
from bento_monitor.tracing.ledger.ledger import BatchRecord


class Encoder:
    """An object with methods and slots, which is not callable."""

    __slots__ = ("size", "where")

    def __init__(self) -> None:
        self.size = 2

    def encode(self, texts: list[str]) -> list[int]:
        return [len(text) * self.size for text in texts]

    async def embed(self, texts: list[str]) -> int:
        await asyncio.sleep(0.01)
        return len(texts)

    async def stream(self, count: int) -> AsyncIterator[int]:
        for index in range(count):
            yield index

    def generate(self, count: int) -> Iterator[int]:
        yield from range(count)


def double(x: Any, by: int = 2) -> Any:
    return x * by


class Doubler:
    def __call__(self, x: Any) -> Any:
        return x * 2


@pytest.mark.parametrize(
    "model",
    [
        double,
        lambda x: x * 2,
        functools.partial(double, by=2),
        Doubler(),
        Doubler().__call__,
    ],
    ids=["function", "lambda", "partial", "object", "method"],
)
def test_callables_are_called_and_traced(model: Any, traced: BatchRecord) -> None:
    runner = MonitoredRunner(model)
    x = torch.ones(3, 2)
    assert torch.equal(runner(x), model(x))
    assert [(call.method, call.rows, call.backend) for call in traced.model_calls] == [(None, 3, "python")]
    with pytest.raises(ReleaseError, match="No release can be made of it"):
        runner.fingerprint.value()


def test_named_methods_of_any_object_are_traced(traced: BatchRecord) -> None:
    runner = MonitoredRunner(Encoder(), methods=["encode", "embed", "stream", "generate"])

    async def calls() -> tuple[int, list[int]]:
        return await runner.embed(["a", "b"]), [each async for each in runner.stream(3)]

    assert runner.encode(["a", "bc", "def"]) == [2, 4, 6]
    assert asyncio.run(calls()) == (2, [0, 1, 2])
    assert list(runner.generate(2)) == [0, 1]
    noted = [(call.method, call.rows) for call in traced.model_calls]
    assert noted == [("encode", 3), ("embed", 2), ("stream", 1), ("generate", 1)]
    assert traced.model_calls[1].ended_ns - traced.model_calls[1].started_ns >= 10_000_000
    assert runner.size == 2


@pytest.mark.parametrize(
    ("arguments", "match"),
    [
        ({}, r"Name the methods that compute, as in MonitoredRunner\(model, methods=\['embed', 'encode', 'generate'\]"),
        ({"methods": "encode"}, 'methods=\\["encode"\\]'),
        ({"methods": ["encoding"]}, "has no method 'encoding'"),
        ({"methods": ["reset"]}, "'reset' is an attribute of MonitoredRunner"),
    ],
    ids=["none named", "a string", "unknown", "taken"],
)
def test_error_for_an_object_that_is_not_callable_gives_advice(arguments: dict[str, Any], match: str) -> None:
    with pytest.raises(ServiceError, match=match):
        MonitoredRunner(Encoder(), **arguments)


class Weighted(torch.nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.weight = torch.nn.Parameter(torch.arange(6.0).reshape(3, 2))

    def forward(self, x: torch.Tensor, bias: torch.Tensor) -> torch.Tensor:
        return x @ self.weight + bias


@pytest.mark.filterwarnings("ignore:.*deprecated:DeprecationWarning")
@pytest.mark.parametrize(
    "make",
    [
        torch.jit.script,
        lambda module: torch.jit.trace(module, (torch.ones(4, 3), torch.ones(2))),
        lambda module: torch.compile(module, backend="eager"),
    ],
    ids=["script", "trace", "compile"],
)
def test_jit_and_compiled_modules_keep_argument_names_and_fingerprint(make: Any) -> None:
    module = Weighted().eval()
    runner = MonitoredRunner(make(module))
    x, bias = torch.ones(5, 3), torch.ones(2)
    assert runner.own_model.kind == "torch"
    assert runner.own_model.names == ("x", "bias")
    before = runner.fingerprint.value()
    torch.testing.assert_close(runner(x, bias), module(x, bias))
    torch.testing.assert_close(runner(x, bias=bias), module(x, bias))
    runner.fingerprint.renew()
    assert runner.fingerprint.value() == before
    assert MonitoredRunner(make(Weighted().eval()), name="again").fingerprint.value() == before
