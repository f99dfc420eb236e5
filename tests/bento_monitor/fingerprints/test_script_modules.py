"""The fingerprint of a TorchScript module covers its code, constants, attributes and tensors, and nothing else."""

from __future__ import annotations

import io
import zipfile
from typing import Any

import pytest
import torch
from torch import nn

pytestmark = [
    pytest.mark.filterwarnings("ignore:`torch.jit"),
    pytest.mark.filterwarnings("ignore::torch.jit.TracerWarning"),
]

_SOURCE = """
import torch
from torch import nn


class Scaled(nn.Module):
    def __init__(self):
        super().__init__()
        torch.manual_seed(0)
        self.inner = nn.Linear(3, 3)
        self.scale = 2

    def forward(self, x):
        return self.inner(x) * self.scale + torch.ones(3)


def traced():
    return torch.jit.trace(Scaled().eval(), torch.ones(1, 3))
"""


class Traced(nn.Module):
    def __init__(self, *, scale: float = 2.0, weight: float = 1.0, constant: float = 1.0) -> None:
        super().__init__()
        self.inner = nn.Linear(3, 3)
        nn.init.constant_(self.inner.weight, weight)
        nn.init.constant_(self.inner.bias, 0.5)
        self.scale = scale
        self.constant = torch.full((3,), constant)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return self.inner(x) * self.scale + self.constant


def _trace(**changes: float) -> Any:
    return torch.jit.trace(Traced(**changes).eval(), torch.ones(1, 3))


def test_module_traced_again_is_the_same(fingerprint: Any) -> None:
    first = fingerprint(_trace())
    _trace(scale=5.0)  # torch numbers its classes

    assert fingerprint(_trace()) == first


@pytest.mark.parametrize("change", [{"scale": 3.0}, {"weight": 2.0}, {"constant": 3.0}])
def test_code_weights_and_constants_are_hashed(change: dict[str, float], fingerprint: Any) -> None:
    assert fingerprint(_trace(**change)) != fingerprint(_trace())


def test_saved_module_is_the_same_after_each_load(fingerprint: Any) -> None:
    buffer = io.BytesIO()
    torch.jit.save(_trace(), buffer)
    loaded = [torch.jit.load(io.BytesIO(buffer.getvalue())) for _ in range(2)]

    assert fingerprint(loaded[0]) == fingerprint(loaded[1])
    assert zipfile.is_zipfile(buffer)


def test_script_inside_a_module_is_hashed(fingerprint: Any) -> None:
    first, same, other = (nn.Sequential(_trace(**change)) for change in ({}, {}, {"weight": 3.0}))

    assert fingerprint(first) == fingerprint(same) != fingerprint(other)


def test_write_to_a_weight_of_a_script_makes_it_stale() -> None:
    from bento_monitor.backends.own import OwnModule
    from bento_monitor.fingerprints import ModelFingerprint

    model = _trace()
    own = ModelFingerprint(OwnModule(model))
    before = own.value()
    assert not own.is_stale()
    with torch.no_grad():
        model.inner.weight.add_(1)

    assert own.is_stale()
    own.renew()
    assert own.value() != before


def test_two_processes_give_the_same_fingerprint(elsewhere: Any) -> None:
    source = f"import warnings\nwarnings.simplefilter('ignore')\n{_SOURCE}"
    crowded = source.replace("def traced():\n", "def traced():\n    torch.jit.trace(Scaled(), torch.ones(2, 3))\n")

    first = elsewhere(source, "traced()", name="scripted", hash_seed=1)

    assert elsewhere(crowded, "traced()", name="scripted", hash_seed=2) == first


_SCRIPTED = """
import torch
from torch import nn


class Own(nn.Module):
    __constants__ = ["alpha", "beta", "gamma", "delta", "names"]

    def __init__(self):
        super().__init__()
        self.alpha, self.beta, self.gamma, self.delta = 1, 2.5, True, (3, 4)
        self.names = ("b", "a")
        self.table = {"one": 1, "two": 2}

    @torch.jit.export
    def other(self, x: torch.Tensor) -> torch.Tensor:
        return x * self.alpha

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        y = x * self.beta if self.gamma else x
        return y + self.delta[0] + len(self.names) + self.table["two"]


def scripted():
    torch.manual_seed(0)
    made = {
        "linears": nn.Sequential(nn.Linear(4, 8), nn.GELU(), nn.Linear(8, 8), nn.Dropout(), nn.Linear(8, 2)),
        "convolutions": nn.Sequential(nn.Conv2d(3, 8, 3, padding=1), nn.BatchNorm2d(8), nn.MaxPool2d(2)),
        "lstm": nn.LSTM(4, 8, num_layers=2, batch_first=True, bidirectional=True),
        "gru": nn.GRU(4, 8),
        "transformer": nn.TransformerEncoder(nn.TransformerEncoderLayer(8, 2, 16, batch_first=True), 2),
        "embedding": nn.EmbeddingBag(10, 4),
        "own": Own(),
    }
    return nn.ModuleDict({name: torch.jit.script(module.eval()) for name, module in made.items()})
"""


def test_order_of_sets_does_not_matter_in_scripted_modules(elsewhere: Any) -> None:
    found = {elsewhere(_SCRIPTED, "scripted()", name="scripts", hash_seed=seed) for seed in range(3)}
    assert len(found) == 1
    assert found.pop().startswith("v")


def test_another_constant_changes_the_fingerprint(fingerprint: Any) -> None:
    class Chosen(nn.Module):
        __constants__ = ("first", "second")

        def __init__(self, first: int, second: int) -> None:
            super().__init__()
            self.first, self.second = first, second

        def forward(self, x: torch.Tensor) -> torch.Tensor:
            return x * self.first + self.second

    found = {fingerprint(torch.jit.script(Chosen(first, second))) for first, second in ((1, 2), (2, 1), (1, 1))}
    assert len(found) == 3
