"""Changes that do not affect a model's computation do not change its fingerprint."""

from __future__ import annotations

import re
import threading
from pathlib import Path
from typing import Any

import pytest
import torch
from torch import nn

from bento_monitor.backends.own import OwnModule
from bento_monitor.errors import ReleaseError
from bento_monitor.fingerprints import ModelFingerprint

ROOT = Path(__file__).resolve().parents[3]


def test_fingerprint_is_a_format_and_64_digits(build: Any, fingerprint: Any) -> None:
    assert re.fullmatch(r"v1:[0-9a-f]{64}", fingerprint(build()))


def test_process_hash_seed_and_module_name_do_not_matter(
    build: Any, fingerprint: Any, elsewhere: Any, source: str
) -> None:
    here = fingerprint(build())

    for name, seed in (("one_name", 1), ("another.name".replace(".", "_"), 2)):
        assert elsewhere(source, "Model().eval()", name=name, hash_seed=seed) == here


def test_search_encoder_is_the_same_in_two_processes(elsewhere: Any) -> None:
    source = (ROOT / "examples" / "semantic_search" / "model.py").read_text(encoding="utf-8")

    first, second = (
        elsewhere(source, "load_encoder()", name=name, hash_seed=seed) for name, seed in (("model", 3), ("encoder", 4))
    )

    assert first == second


def test_comments_empty_lines_and_docstrings_do_not_matter(build: Any, fingerprint: Any) -> None:
    moved = build(
        ('"""A service\'s model."""', '"""A model."""\n# with a comment\n\n\n'),
        ('"""Run the block."""', '"""Run this block, and no other."""'),
        ("    def half(self):", "    # a comment\n    def half(self):"),
    )

    assert fingerprint(moved) == fingerprint(build())


@pytest.mark.parametrize(
    "change",
    [
        lambda model: model.requires_grad_(False),
        lambda model: setattr(model, "device", torch.device("meta")),
        lambda model: setattr(model, "names", {"four", "three", "two", "one"}),
        lambda model: model.register_full_backward_hook(lambda *args: None),
    ],
    ids=["requires_grad", "device", "the order of a set", "a hook of training"],
)
def test_attributes_that_calls_do_not_depend_on_do_not_matter(change: Any, build: Any, fingerprint: Any) -> None:
    model = build()
    change(model)

    assert fingerprint(model) == fingerprint(build())


def test_call_does_not_change_the_fingerprint(build: Any) -> None:
    model = build()
    own = ModelFingerprint(OwnModule(model))
    model.cache = torch.ones(3)
    model(torch.ones(1, 4))

    assert own.value() == ModelFingerprint(OwnModule(build())).value()


def test_locks_and_loggers_have_no_content(build: Any, fingerprint: Any) -> None:
    first, second = build(), build()
    first.lock, second.lock = threading.Lock(), threading.Lock()
    second.lock.acquire()

    assert fingerprint(first) == fingerprint(second)


def test_compiled_module_is_the_same_as_its_original(build: Any, fingerprint: Any) -> None:
    whole, part, in_place = torch.compile(build(), backend="eager"), build(), build()
    part.blocks[0] = torch.compile(part.blocks[0], backend="eager")
    in_place.compile(backend="eager")

    assert {fingerprint(whole), fingerprint(part), fingerprint(in_place)} == {fingerprint(build())}


def test_hooks_are_the_same_however_many_were_registered_before(fingerprint: Any) -> None:
    def make() -> nn.Module:
        model = nn.Linear(1, 1)
        nn.init.ones_(model.weight)
        nn.init.ones_(model.bias)
        model.register_forward_hook(lambda module, args, output: output * 2)
        return model

    first = make()
    nn.ReLU().register_forward_hook(lambda module, args, output: None)

    assert fingerprint(first) == fingerprint(make())


def test_tied_weights_are_the_same_as_equal_ones(fingerprint: Any) -> None:
    def make(*, is_tied: bool) -> nn.Module:
        model = nn.Sequential(nn.Linear(3, 3), nn.Linear(3, 3))
        for parameter in model.parameters():
            nn.init.ones_(parameter)
        if is_tied:
            model[1].weight = model[0].weight
        return model

    assert fingerprint(make(is_tied=True)) == fingerprint(make(is_tied=False))


def test_unreadable_model_fails_at_the_value_not_at_wrapping(build: Any) -> None:
    model = build()
    endless: Any = ()
    for _ in range(100_000):
        endless = (endless,)
    model.endless = endless
    own = ModelFingerprint(OwnModule(model))

    with pytest.raises(ReleaseError, match="cannot be fingerprinted: .*outside of the model"):
        own.value()


def test_folder_of_a_loaded_model_does_not_matter(fingerprint: Any) -> None:
    def made(folder: str) -> torch.nn.Module:
        model = torch.nn.ReLU()
        model.name_or_path = folder
        model.config = {"size": 3}
        return model

    assert fingerprint(made("/here")) == fingerprint(made("/elsewhere"))
