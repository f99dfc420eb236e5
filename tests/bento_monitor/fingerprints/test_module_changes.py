"""Every change of a model's computation changes its fingerprint."""

from __future__ import annotations

import functools
from typing import Any

import numpy as np
import pytest
import torch
from torch import nn


def _next_float(model: Any) -> None:
    with torch.no_grad():
        weight = model.blocks[0].first.weight
        weight[0, 0] = torch.nextafter(weight[0, 0], torch.tensor(10.0))


def _swap_weights(model: Any) -> None:
    first, second = model.blocks[0].first, model.blocks[0].second
    first.weight, second.weight = second.weight, first.weight


def _reverse_layers(model: Any) -> None:
    model.blocks = nn.Sequential(*reversed(list(model.blocks)))


def _patch_forward(model: Any) -> None:
    original = model.blocks[0].forward
    model.blocks[0].forward = lambda x: original(x) + 1


def _closing(factor: int) -> Any:
    return lambda value: value * factor


def _hook(module: Any, args: Any, output: Any) -> Any:
    return output + 1


def _set(dotted: str, value: Any) -> Any:
    def change(model: Any) -> None:
        *parents, last = dotted.split(".")
        setattr(functools.reduce(getattr, parents, model), last, value)

    return change


CHANGES: dict[str, Any] = {
    "one weight by the least step": _next_float,
    "a non-persistent buffer": lambda model: model.blocks[1].mask.zero_(),
    "a plain attribute": _set("blocks.0.first.in_features", 5),
    "a new plain attribute": _set("extra", 1),
    "a plain attribute of another type": _set("nothing", False),
    "a plain tensor": lambda model: model.table.add_(1),
    "a plain array": lambda model: np.add(model.array, 1, out=model.array),
    "a nested object": _set("config.inner.rate", 0.5),
    "a set": lambda model: model.names.add("five"),
    "a forward hook": lambda model: model.blocks[0].register_forward_hook(_hook),
    "a forward pre-hook": lambda model: model.blocks[0].register_forward_pre_hook(lambda module, args: None),
    "an activation": _set("blocks.0.act", nn.GELU()),
    "training": lambda model: model.blocks[0].train(),
    "the order of layers": _reverse_layers,
    "two weights swapped": _swap_weights,
    "the element type": lambda model: model.half(),
    "a forward put in place": _patch_forward,
    "a closed-over value": lambda model: setattr(model, "apply_last", _closing(3)),
    "the arguments of a partial": _set("clamp", functools.partial(torch.clamp, min=0, max=6)),
    "the function of a partial": _set("clamp", functools.partial(torch.clip, min=0, max=5)),
    "a buffer without a value": lambda model: model.register_buffer("late", None),
    "a weight that is gone": _set("blocks.0.first.bias", None),
    "a layer by another name": lambda model: model.blocks.add_module("last", nn.Identity()),
}

SOURCE_CHANGES: dict[str, tuple[str, str]] = {
    "the code of forward": ("self.second(self.act(", "self.second(2 * self.act("),
    "the code of a helper": ("deeper(value) + 1", "deeper(value) - 1"),
    "the code that a helper calls": ("value * 3", "value * 4"),
    "the code of a static method": ("value - 8", "value - 9"),
    "the code of a property": ("return 0.5", "return 0.75"),
    "the code of a decorator": ("function(*args) * 7", "function(*args) * 8"),
    "a number among the globals": ("SCALE = 0.5", "SCALE = 0.25"),
    "a tuple among the globals": ("LIMITS = (0, 10)", "LIMITS = (0, 11)"),
    "a dict among the globals": ('"offset": 1.0', '"offset": 2.0'),
    "a tensor among the globals": ("torch.tensor([1.0, 2.0])", "torch.tensor([1.0, 2.5])"),
    "a class attribute": ("limit = 6", "limit = 7"),
    "the default of a field": ("rate: float = 0.25", "rate: float = 0.5"),
    "the sign of a zero": ("SCALE = 0.5", "SCALE = -0.0"),
    "a base class": ("class Block(nn.Module):", "class Base(nn.Module):\n    pass\n\n\nclass Block(Base):"),
}


@pytest.mark.parametrize("name", CHANGES)
def test_change_of_a_model_is_detected(name: str, build: Any, fingerprint: Any) -> None:
    before, changed = build(), build()
    CHANGES[name](changed)

    assert fingerprint(changed) != fingerprint(before)


@pytest.mark.parametrize("name", SOURCE_CHANGES)
def test_change_of_the_source_is_detected(name: str, build: Any, fingerprint: Any) -> None:
    assert fingerprint(build(SOURCE_CHANGES[name])) != fingerprint(build())


def test_positive_and_negative_zero_differ(build: Any, fingerprint: Any) -> None:
    zero, negative = build(("SCALE = 0.5", "SCALE = 0.0")), build(("SCALE = 0.5", "SCALE = -0.0"))

    assert fingerprint(zero) != fingerprint(negative)


def test_each_change_gives_a_different_fingerprint(build: Any, fingerprint: Any) -> None:
    values = [fingerprint(build(change)) for change in SOURCE_CHANGES.values()]
    for change in CHANGES.values():
        model = build()
        change(model)
        values.append(fingerprint(model))

    assert len(set(values)) == len(values)


def test_loaded_code_is_hashed_instead_of_the_file(build: Any, fingerprint: Any) -> None:
    first = build(name="service")
    before = fingerprint(first)
    build(("value * 3", "value * 4"), name="service")  # writes the same file

    assert fingerprint(first) == before


def test_method_patched_into_a_torch_class_is_detected(fingerprint: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    model = nn.Sequential(nn.ReLU())
    before = fingerprint(model)
    monkeypatch.setattr(nn.ReLU, "forward", lambda self, x: x)

    assert fingerprint(model) != before


def test_unregistered_modules_are_hashed_completely(fingerprint: Any) -> None:
    class Holder(nn.Module):
        def __init__(self, bias: float) -> None:
            super().__init__()
            self.hidden = [nn.Linear(2, 2)]
            nn.init.constant_(self.hidden[0].weight, 1.0)
            nn.init.constant_(self.hidden[0].bias, bias)

    assert fingerprint(Holder(1.0)) == fingerprint(Holder(1.0))
    assert fingerprint(Holder(1.0)) != fingerprint(Holder(2.0))


def test_function_behind_a_torch_decorator_is_hashed(fingerprint: Any) -> None:
    def make(factor: int) -> nn.Module:
        class Decorated(nn.Module):
            @torch.no_grad()
            def forward(self, x: torch.Tensor) -> torch.Tensor:
                return x * factor

        return Decorated()

    assert fingerprint(make(2)) == fingerprint(make(2))
    assert fingerprint(make(2)) != fingerprint(make(3))


def test_code_generated_by_torch_fx_is_hashed(fingerprint: Any) -> None:
    class Doubled(nn.Module):
        def forward(self, x: torch.Tensor) -> torch.Tensor:
            return x * 2

    class Tripled(nn.Module):
        def forward(self, x: torch.Tensor) -> torch.Tensor:
            return x * 3

    traced = [fingerprint(torch.fx.symbolic_trace(model())) for model in (Doubled, Doubled, Tripled)]

    assert traced[0] == traced[1]
    assert traced[0] != traced[2]
