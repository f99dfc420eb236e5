"""The torch backend: a copy in another precision, which leaves the user's own module as it is."""

from __future__ import annotations

import threading
from collections.abc import Callable
from typing import Any, get_args

import pytest
import torch

from bento_monitor.backends.torch import TorchBackend
from bento_monitor.errors import ReleaseError
from bento_monitor.releases.release_record import TensorSpec
from bento_monitor.serving_config import Execution, TorchPrecision

OUTPUTS = (TensorSpec("output", "float32", (None, 5)),)
CONVERTED = [precision for precision in get_args(TorchPrecision) if precision not in ("fp32", "bf16")]


class Convolutions(torch.nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.conv = torch.nn.Conv2d(3, 8, 3, padding=1)
        self.norm = torch.nn.BatchNorm2d(8)
        self.head = torch.nn.Linear(8, 5)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        head: torch.Tensor = self.head(torch.relu(self.norm(self.conv(x))).mean((2, 3)))
        return head


@pytest.fixture
def module() -> Convolutions:
    torch.manual_seed(0)
    return Convolutions().eval()


def run(module: torch.nn.Module, precision: str, x: Any) -> torch.Tensor:
    (output,) = TorchBackend(module, Execution("torch", precision, 1), outputs=OUTPUTS).run({"x": x})
    assert isinstance(output, torch.Tensor)
    return output


@pytest.mark.parametrize("precision", get_args(TorchPrecision))
def test_every_precision_gives_close_answers_of_the_models_own_type(module: Convolutions, precision: str) -> None:
    x = torch.randn(4, 3, 9, 9)
    found, expected = run(module, precision, x), module(x)
    assert found.dtype == torch.float32
    assert found.is_contiguous()
    tolerance = 1e-5 if precision.startswith("fp32") else 0.02
    torch.testing.assert_close(found, expected.detach(), atol=tolerance, rtol=tolerance)
    if precision != "tf32" and not precision.startswith("fp32"):
        assert not torch.equal(found, expected)


@pytest.mark.parametrize("precision", CONVERTED)
def test_own_module_is_left_as_it_is(module: Convolutions, precision: str) -> None:
    before = {name: (value.clone(), value.stride()) for name, value in module.state_dict().items()}
    x = torch.randn(2, 3, 9, 9)
    run(module, precision, x)
    for name, value in module.state_dict().items():
        assert torch.equal(value, before[name][0])
        assert (value.dtype, value.stride()) == (before[name][0].dtype, before[name][1])


def test_input_is_left_as_it_is(module: Convolutions) -> None:
    x = torch.randn(2, 3, 9, 9)
    kept = x.clone()
    run(module, "bf16-weights-channels-last", x)
    assert torch.equal(x, kept)
    assert x.is_contiguous()
    assert x.dtype == torch.float32


class Embedding(torch.nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.table = torch.nn.Embedding(7, 5)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        summed: torch.Tensor = self.table(x).sum(1)
        return summed


def test_whole_numbers_are_not_converted() -> None:
    ids = torch.tensor([[1, 2, 6], [0, 0, 3]])
    module = Embedding().eval()
    torch.testing.assert_close(run(module, "bf16-weights", ids), module(ids).detach(), atol=0.05, rtol=0.05)


def test_module_that_cannot_be_copied_is_refused(module: Convolutions) -> None:
    module.lock = threading.Lock()  # type: ignore[assignment]
    with pytest.raises(ReleaseError, match="cannot be copied"):
        TorchBackend(module, Execution("torch", "bf16-weights", 1), outputs=OUTPUTS)
    TorchBackend(module, Execution("torch", "bf16", 1), outputs=OUTPUTS)  # autocast needs no copy


def test_complex_weights_are_refused(module: Convolutions) -> None:
    module.register_buffer("phase", torch.ones(3, dtype=torch.complex64))
    with pytest.raises(ReleaseError, match="complex"):
        TorchBackend(module, Execution("torch", "bf16-weights", 1), outputs=OUTPUTS)


def test_unknown_precision_is_refused_with_the_known_ones(module: Convolutions) -> None:
    with pytest.raises(ReleaseError, match=r"fp32, .*bf16-weights.*, not int8"):
        TorchBackend(module, Execution("torch", "int8", 1), outputs=OUTPUTS)


def test_tf32_is_allowed_for_the_call_alone() -> None:
    class Asking(torch.nn.Module):
        def forward(self, x: torch.Tensor) -> torch.Tensor:
            seen.append(torch.get_float32_matmul_precision())
            return x

    seen: list[str] = []
    before = torch.get_float32_matmul_precision()
    run(Asking(), "tf32", torch.zeros(1, 5))
    assert seen == ["high"]
    assert torch.get_float32_matmul_precision() == before != "high"


def overlapping(read: Callable[[], Any], **executions: Execution) -> list[Any]:
    """Run two calls such that the first ends while the second runs; return what both read, and each thread after it."""

    class Waiting(torch.nn.Module):
        def forward(self, x: torch.Tensor) -> torch.Tensor:
            (first_is_in if x[0, 0] == 0 else second_is_in).set()
            assert (second_is_in if x[0, 0] == 0 else first_is_out).wait(10)
            seen.append(read())
            return x

    def call(name: str, value: float) -> None:
        TorchBackend(Waiting(), executions[name], outputs=OUTPUTS).run({"x": torch.full((1, 5), value)})
        seen.append(read())
        if name == "first":
            first_is_out.set()

    first_is_in, second_is_in, first_is_out = threading.Event(), threading.Event(), threading.Event()
    seen: list[Any] = []
    first = threading.Thread(target=call, args=("first", 0.0))
    second = threading.Thread(target=call, args=("second", 1.0))
    first.start()
    assert first_is_in.wait(10)
    second.start()
    first.join()
    second.join()
    return seen


def test_tf32_ends_with_the_last_of_calls_that_overlap() -> None:
    before = torch.get_float32_matmul_precision()
    execution = Execution("torch", "tf32", 1)
    seen = overlapping(torch.get_float32_matmul_precision, first=execution, second=execution)
    assert seen == ["high", "high", "high", before]
    assert torch.get_float32_matmul_precision() == before != "high"


@pytest.mark.parametrize("second", [3, 5])
def test_calls_that_overlap_leave_the_number_of_threads_as_it_was(second: int) -> None:
    before = torch.get_num_threads()
    executions = {"first": Execution("torch", "fp32", 3), "second": Execution("torch", "fp32", second)}
    assert overlapping(torch.get_num_threads, **executions) == [3, before, second, before]
    assert torch.get_num_threads() == before
