"""Train both models on train.jsonl, and write them with the encoding of applications."""

from __future__ import annotations

import argparse
import json
import sys
from collections.abc import Sequence
from pathlib import Path

import lightgbm
import numpy as np
import torch
from numpy.typing import NDArray
from safetensors.torch import save_file

from application import Application
from encoding import FEATURES, fit_encoding
from model import ENCODING, NETWORK, TREES, DefaultNet

sys.path.append(str(Path(__file__).resolve().parents[1] / "common"))
from fitting import fit

SEED = 0
FOLDS = 5
ROUNDS, SHORT_ROUNDS = 150, 20
EPOCHS, SHORT_EPOCHS = 4, 2
BATCH_SIZE, LEARNING_RATE = 1024, 2e-3
TREE_PARAMETERS = {
    "objective": "binary",
    "learning_rate": 0.05,
    "num_leaves": 8,
    "max_depth": 4,
    "min_data_in_leaf": 200,
    "lambda_l2": 5.0,
    "seed": SEED,
    "deterministic": True,
    "force_row_wise": True,
    "verbosity": -1,
}


def main() -> None:
    """Read and write in the folder given as argument, by default `files` beside this script."""
    parser = argparse.ArgumentParser(description="Train the trees and the network on train.jsonl.")
    parser.add_argument("folder", nargs="?", type=Path, default=Path(__file__).with_name("files"))
    parser.add_argument("--short", action="store_true", help="Fewer trees, and fewer passes over the data.")
    arguments = parser.parse_args()
    applications, is_default = read_loans(arguments.folder / "train.jsonl")
    fit_encoding(applications, is_default).save(arguments.folder / ENCODING)
    features = held_out_features(applications, is_default)
    print(f"{len(features)} loans, {is_default.mean():.2%} charged off", flush=True)
    train_trees(features, is_default, SHORT_ROUNDS if arguments.short else ROUNDS).save_model(arguments.folder / TREES)
    network = train_network(features, is_default, SHORT_EPOCHS if arguments.short else EPOCHS)
    save_file(network.state_dict(), arguments.folder / NETWORK)


def read_loans(path: Path) -> tuple[list[Application], NDArray[np.bool_]]:
    """Return the applications, and which of them were charged off."""
    applications, is_default = [], []
    with path.open(encoding="utf-8") as file:
        for line in file:
            row = json.loads(line)
            applications.append(Application.model_construct(**row["application"]))
            is_default.append(row["is_default"])
    return applications, np.array(is_default)


def held_out_features(applications: Sequence[Application], is_default: NDArray[np.bool_]) -> NDArray[np.float32]:
    """Return the features of each loan by an encoding of the other loans: its own outcome must not be among them."""
    features = np.empty((len(applications), len(FEATURES)), dtype=np.float32)
    fold_of = np.random.default_rng(SEED).integers(0, FOLDS, len(applications))
    for fold in range(FOLDS):
        others, own = np.flatnonzero(fold_of != fold), np.flatnonzero(fold_of == fold)
        encoding = fit_encoding([applications[row] for row in others.tolist()], is_default[others])
        features[own] = encoding.encode([applications[row] for row in own.tolist()])
    return features


def train_trees(features: NDArray[np.float32], is_default: NDArray[np.bool_], rounds: int) -> lightgbm.Booster:
    """Return boosted trees."""
    data = lightgbm.Dataset(features, is_default.astype(np.int32), feature_name=list(FEATURES))
    return lightgbm.train(TREE_PARAMETERS, data, num_boost_round=rounds)


def train_network(features: NDArray[np.float32], is_default: NDArray[np.bool_], epochs: int) -> DefaultNet:
    """Return a trained network."""
    torch.manual_seed(SEED)
    network = DefaultNet()
    inputs, targets = torch.from_numpy(features), torch.from_numpy(is_default.astype(np.float32))
    network.mean.copy_(inputs.mean(dim=0))
    network.scale.copy_(inputs.std(dim=0).clamp_min(1e-6))
    network.typical.copy_(inputs.median(dim=0).values)

    def loss_of(rows: torch.Tensor) -> torch.Tensor:
        return torch.nn.functional.binary_cross_entropy_with_logits(network(inputs[rows])[:, 0], targets[rows])

    fit(network, loss_of, len(inputs), epochs=epochs, batch_size=BATCH_SIZE, learning_rate=LEARNING_RATE)
    return network.eval()


if __name__ == "__main__":
    main()
