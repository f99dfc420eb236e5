"""The two models of a default: boosted trees and a network, and what each of a loan's facts contributes."""

from __future__ import annotations

import os
from collections.abc import Callable
from itertools import pairwise
from pathlib import Path
from typing import Any

import lightgbm
import numpy as np
import torch
from numpy.typing import NDArray
from safetensors.torch import load_file

from encoding import FACTS, FEATURES, Encoding
from encoding import load_encoding as read_encoding

FILES = Path(os.environ.get("EXAMPLE_FILES") or Path(__file__).with_name("files"))
ENCODING, TREES, NETWORK = "encoding.json", "trees.txt", "network.safetensors"
HIDDEN = (512, 256)


class DefaultNet(torch.nn.Module):
    """A network of three layers: features `(n, f)` -> log-odds of a default `(n, 1)`.

    Its buffers standardize the features; `typical` is the median loan.
    """

    mean: torch.Tensor
    scale: torch.Tensor
    typical: torch.Tensor

    def __init__(self, features: int = len(FEATURES)) -> None:
        super().__init__()
        self.register_buffer("mean", torch.zeros(features))
        self.register_buffer("scale", torch.ones(features))
        self.register_buffer("typical", torch.zeros(features))
        sizes = (features, *HIDDEN)
        layers: list[torch.nn.Module] = []
        for before, after in pairwise(sizes):
            layers += [torch.nn.Linear(before, after), torch.nn.ReLU()]
        self.layers = torch.nn.Sequential(*layers, torch.nn.Linear(sizes[-1], 1))

    def forward(self, features: torch.Tensor) -> torch.Tensor:
        """Return the log-odds of each loan."""
        log_odds: torch.Tensor = self.layers((features - self.mean) / self.scale)
        return log_odds


def load_encoding() -> Encoding:
    """Return the encoding of applications that train.py wrote."""
    return read_encoding(_file(ENCODING))


def load_trees() -> lightgbm.Booster:
    """Return the trees that train.py wrote."""
    return lightgbm.Booster(model_file=_file(TREES))


def load_network() -> DefaultNet:
    """Return the network that train.py wrote, in evaluation mode."""
    network = DefaultNet()
    network.load_state_dict(load_file(_file(NETWORK)))
    return network.eval()


def contributions_of_trees(trees: lightgbm.Booster, features: NDArray[np.float32]) -> NDArray[np.float64]:
    """Return what each fact adds to the log-odds of each loan, `(n, facts)`: the sum of its features' SHAP values."""
    by_feature = np.asarray(trees.predict(features, pred_contrib=True))[:, :-1]  # the last column is the average loan
    return np.add.reduceat(by_feature, _FACT_STARTS, axis=1)


def log_odds_and_contributions(
    network: Callable[[torch.Tensor], torch.Tensor], typical: NDArray[np.float32], features: NDArray[np.float32]
) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Return the log-odds of each loan `(n,)`, and what each fact adds to them, `(n, facts)`.

    By occlusion: a fact adds what the log-odds lose if it has the value of the median loan. One call computes all.
    """
    loans, facts = len(features), len(FACTS)
    variants = np.repeat(features[:, None, :], facts + 1, axis=1)
    for fact, start in enumerate(_FACT_STARTS):
        end = _FACT_ENDS[fact]
        variants[:, fact + 1, start:end] = typical[start:end]
    with torch.inference_mode():
        found = network(torch.from_numpy(variants.reshape(loans * (facts + 1), -1)))
    log_odds = found.numpy().reshape(loans, facts + 1).astype(np.float64)
    return log_odds[:, 0], log_odds[:, :1] - log_odds[:, 1:]


def probability(log_odds: NDArray[Any]) -> NDArray[np.float64]:
    """Return the probability of log-odds."""
    return np.asarray(1 / (1 + np.exp(-log_odds)))


def _file(name: str) -> Path:
    path = FILES / name
    if not path.is_file():
        raise FileNotFoundError(f"{path} is missing: run `python make_data.py` and `python train.py` first.")
    return path


_FACT_ENDS = np.cumsum([len(features) for features in FACTS.values()]).tolist()
_FACT_STARTS = [0, *_FACT_ENDS[:-1]]
