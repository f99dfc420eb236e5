"""A TorchScript module is its code, constants, attributes and tensors, whatever else the process has loaded."""

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


def test_the_same_module_traced_again_is_the_same(fingerprint: Any) -> None:
    first = fingerprint(_trace())
    _trace(scale=5.0)  # torch numbers its classes

    assert fingerprint(_trace()) == first


@pytest.mark.parametrize("change", [{"scale": 3.0}, {"weight": 2.0}, {"constant": 3.0}])
def test_code_weights_and_constants_count(change: dict[str, float], fingerprint: Any) -> None:
    assert fingerprint(_trace(**change)) != fingerprint(_trace())


def test_what_was_saved_and_loaded_is_the_same_each_time(fingerprint: Any) -> None:
    buffer = io.BytesIO()
    torch.jit.save(_trace(), buffer)
    loaded = [torch.jit.load(io.BytesIO(buffer.getvalue())) for _ in range(2)]

    assert fingerprint(loaded[0]) == fingerprint(loaded[1])
    assert zipfile.is_zipfile(buffer)


def test_a_script_within_a_module_is_seen(fingerprint: Any) -> None:
    first, same, other = (nn.Sequential(_trace(**change)) for change in ({}, {}, {"weight": 3.0}))

    assert fingerprint(first) == fingerprint(same) != fingerprint(other)


def test_a_write_to_a_scripts_weight_is_stale() -> None:
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


def test_two_processes_give_the_same(elsewhere: Any) -> None:
    source = f"import warnings\nwarnings.simplefilter('ignore')\n{_SOURCE}"
    crowded = source.replace("def traced():\n", "def traced():\n    torch.jit.trace(Scaled(), torch.ones(2, 3))\n")

    first = elsewhere(source, "traced()", name="scripted", hash_seed=1)

    assert elsewhere(crowded, "traced()", name="scripted", hash_seed=2) == first
