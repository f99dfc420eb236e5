"""A small service's model as source text, and its fingerprint in this process under any module name, or in another."""

from __future__ import annotations

import importlib.util
import os
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from bento_monitor.backends.own import OwnModule
from bento_monitor.fingerprints import ModelFingerprint

Fingerprint = Callable[[Any], str]
Build = Callable[..., Any]

SOURCE = '''
"""A service's model."""
import functools
from dataclasses import dataclass, field

import numpy as np
import torch
from torch import nn

import logging

logger = logging.getLogger(__name__)
SCALE = 0.5
LIMITS = (0, 10)
OPTIONS = {"offset": 1.0}
MEAN = torch.tensor([1.0, 2.0])


@dataclass
class Inner:
    rate: float = 0.25
    tags: set = field(default_factory=lambda: {"alpha", "beta", "gamma", "delta"})


class Config:
    def __init__(self):
        self.inner = Inner()
        self.parent = self


def helper(value):
    return deeper(value) + 1


def deeper(value):
    return value * 3


def decorated(function):
    @functools.wraps(function)
    def call(*args):
        return function(*args) * 7

    return call


def closing(factor):
    return lambda value: value * factor


class Block(nn.Module):
    limit = 6

    def __init__(self):
        super().__init__()
        self.first = nn.Linear(4, 4)
        self.act = nn.ReLU()
        self.second = nn.Linear(4, 4)
        self.register_buffer("mask", torch.ones(4), persistent=False)

    @property
    def half(self):
        return 0.5

    @staticmethod
    def static(value):
        return value - 8

    def forward(self, x):
        """Run the block."""
        return self.second(self.act(self.first(x))) * self.mask + helper(SCALE) + LIMITS[0] + self.static(0)


class Model(nn.Module):
    def __init__(self):
        super().__init__()
        torch.manual_seed(0)
        self.blocks = nn.Sequential(Block(), Block())
        self.config = Config()
        self.names = {"one", "two", "three", "four"}
        self.table = torch.arange(4.0)
        self.array = np.arange(4)
        self.apply_last = closing(2)
        self.clamp = functools.partial(torch.clamp, min=0, max=5)
        self.device = torch.device("cpu")
        self.nothing = None

    @decorated
    def forward(self, x):
        logger.debug("called")
        return self.apply_last(self.clamp(self.blocks(x))) + OPTIONS["offset"] + MEAN.sum()
'''

_PROGRAM = """
import importlib.util, sys
from bento_monitor.backends.own import OwnModule
from bento_monitor.fingerprints import ModelFingerprint
spec = importlib.util.spec_from_file_location({name!r}, {path!r})
module = importlib.util.module_from_spec(spec)
sys.modules[{name!r}] = module
spec.loader.exec_module(module)
print(ModelFingerprint(OwnModule(module.{expression})).value())
"""


def fingerprint_of(model: Any) -> str:
    return ModelFingerprint(OwnModule(model)).value()


@pytest.fixture
def fingerprint() -> Fingerprint:
    """Return a function that fingerprints a torch module in this process."""
    return fingerprint_of


@pytest.fixture
def build(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Build:
    """Return a function that builds the model from its source, with texts replaced and its own module name."""
    count = 0

    def build(*replaced: tuple[str, str], name: str | None = None) -> Any:
        nonlocal count
        count += 1
        text = SOURCE
        for old, new in replaced:
            assert old in text, old
            text = text.replace(old, new)
        name = name or f"service_{count}"
        path = tmp_path / f"{name}.py"
        path.write_text(text, encoding="utf-8")
        spec = importlib.util.spec_from_file_location(name, path)
        assert spec is not None
        assert spec.loader is not None
        module = importlib.util.module_from_spec(spec)
        monkeypatch.setitem(sys.modules, name, module)
        spec.loader.exec_module(module)
        return module.Model().eval()

    return build


@pytest.fixture
def elsewhere(tmp_path: Path) -> Callable[..., str]:
    """Return a function that fingerprints, in another process, a model that an expression builds from a source."""

    def run(source: str, expression: str, *, name: str, hash_seed: int) -> str:
        path = tmp_path / f"{name}.py"
        path.write_text(source, encoding="utf-8")
        program = _PROGRAM.format(name=name, path=str(path), expression=expression)
        environment = {**os.environ, "PYTHONHASHSEED": str(hash_seed)}
        command = [sys.executable, "-c", program]
        done = subprocess.run(command, env=environment, capture_output=True, text=True, check=False, timeout=300)
        assert done.returncode == 0, done.stderr
        return done.stdout.split()[-1]

    return run


@pytest.fixture
def source() -> str:
    return SOURCE
