"""Train the network on train.npz, and write its weights."""

from __future__ import annotations

import argparse
import sys
from pathlib import Path

import numpy as np
import torch
from safetensors.torch import save_file

from model import WEIGHTS, DigitNet

sys.path.append(str(Path(__file__).resolve().parents[1] / "common"))
from fitting import fit

SEED = 0
EPOCHS, SHORT_EPOCHS = 12, 4
BATCH_SIZE = 64
LEARNING_RATE = 2e-3


def main() -> None:
    """Read and write in the folder given as argument, by default `files` beside this script."""
    parser = argparse.ArgumentParser(description="Train the network on train.npz.")
    parser.add_argument("folder", nargs="?", type=Path, default=Path(__file__).with_name("files"))
    parser.add_argument("--short", action="store_true", help=f"Only {SHORT_EPOCHS} passes over the data.")
    arguments = parser.parse_args()
    torch.manual_seed(SEED)
    images, labels = read_images(arguments.folder / "train.npz")
    model = DigitNet()
    epochs = SHORT_EPOCHS if arguments.short else EPOCHS

    def loss_of(rows: torch.Tensor) -> torch.Tensor:
        return torch.nn.functional.cross_entropy(model(images[rows]), labels[rows])

    fit(model, loss_of, len(images), epochs=epochs, batch_size=BATCH_SIZE, learning_rate=LEARNING_RATE)
    save_file(model.state_dict(), arguments.folder / WEIGHTS)
    print(f"Accuracy on the held-out images: {accuracy_of(model, arguments.folder / 'eval.npz'):.4f}")


def read_images(path: Path) -> tuple[torch.Tensor, torch.Tensor]:
    """Return images `(n, 1, 8, 8)` and their digits `(n,)`."""
    with np.load(path, allow_pickle=False) as arrays:
        return torch.from_numpy(arrays["images"])[:, None], torch.from_numpy(arrays["labels"])


@torch.inference_mode()
def accuracy_of(model: DigitNet, path: Path) -> float:
    """Return the share of images that are read right."""
    images, labels = read_images(path)
    return float((model.eval()(images).argmax(dim=1) == labels).double().mean())


if __name__ == "__main__":
    main()
