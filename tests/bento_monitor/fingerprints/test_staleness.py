"""A change of a hashed model is noticed without hashing, and the next fingerprint is that of the changed model."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor
from typing import Any

import pytest
import torch
from torch import nn

from bento_monitor.backends.own import OwnModule
from bento_monitor.fingerprints import ModelFingerprint


def _write(model: Any) -> None:
    with torch.no_grad():
        model[0].weight[0, 0] += 1


def _load(model: Any) -> None:
    model.load_state_dict({name: tensor + 1 for name, tensor in model.state_dict().items()})


WRITES: dict[str, Any] = {
    "in place": _write,
    "load_state_dict": _load,
    "a replaced submodule": lambda model: model.__setitem__(1, nn.GELU()),
    "a new submodule": lambda model: model.append(nn.ReLU()),
    "a replaced parameter": lambda model: setattr(model[0], "weight", nn.Parameter(torch.ones(4, 4))),
    "a replaced buffer": lambda model: setattr(model[2], "running_mean", torch.ones(4)),
    "data of another tensor": lambda model: setattr(model[0].weight, "data", torch.zeros(4, 4)),
    "training": lambda model: model.train(),
    "a removed parameter": lambda model: setattr(model[0], "bias", None),
}


def _make() -> tuple[Any, ModelFingerprint]:
    torch.manual_seed(0)
    model = nn.Sequential(nn.Linear(4, 4), nn.ReLU(), nn.BatchNorm1d(4)).eval()
    return model, ModelFingerprint(OwnModule(model))


@pytest.mark.parametrize("name", WRITES)
def test_change_makes_stale_and_renewal_gives_the_new_fingerprint(name: str) -> None:
    model, own = _make()
    before = own.value()
    assert not own.is_stale()

    WRITES[name](model)

    assert own.is_stale()
    assert own.value() == before
    own.renew()
    assert own.value() != before
    assert not own.is_stale()
    assert own.value() == ModelFingerprint(OwnModule(model)).value()


def test_nothing_is_stale_before_hashing() -> None:
    model, own = _make()
    _write(model)

    assert not own.is_stale()


def test_calls_make_nothing_stale() -> None:
    model, own = _make()
    own.value()
    with torch.inference_mode():
        model(torch.ones(2, 4))

    assert not own.is_stale()


def test_weights_without_a_write_counter_are_hashed_and_detected_when_replaced() -> None:
    with torch.inference_mode():
        model = nn.Linear(2, 2)
    own = ModelFingerprint(OwnModule(model))
    own.value()

    assert not own.is_stale()
    model.weight = nn.Parameter(torch.ones(2, 2))
    assert own.is_stale()


def test_renewed_fingerprint_of_an_unchanged_model_is_the_same() -> None:
    _, own = _make()
    before = own.value()
    own.renew()

    assert own.value() == before


def test_renewal_keeps_the_attributes_as_loaded() -> None:
    model, own = _make()
    before = own.value()
    model.cache = [1, 2, 3]
    own.renew()

    assert own.value() == before


def test_threads_get_the_same_value() -> None:
    _, own = _make()
    with ThreadPoolExecutor(8) as pool:
        values = set(pool.map(lambda _: own.value(), range(32)))

    assert len(values) == 1
