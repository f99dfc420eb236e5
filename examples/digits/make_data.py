"""Write train.npz and eval.npz: scikit-learn's handwritten digits, turned, moved and with noise."""

from __future__ import annotations

import argparse
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from scipy import ndimage
from sklearn.datasets import load_digits

from model import PIXELS

SEED = 0
HELD_OUT = 600  # images of writers' digits; the network sees none of them, in any form
COPIES, SHORT_COPIES = 12, 1
EVAL_COPIES = 4
MAX_TURN_DEGREES, MAX_SHIFT_PIXELS, NOISE = 12.0, 0.7, 0.04


def main() -> None:
    """Write both files into the folder given as argument, by default `files` beside this script."""
    parser = argparse.ArgumentParser(description="Write train.npz and eval.npz.")
    parser.add_argument("folder", nargs="?", type=Path, default=Path(__file__).with_name("files"))
    parser.add_argument("--short", action="store_true", help="One copy of each image.")
    arguments = parser.parse_args()
    arguments.folder.mkdir(parents=True, exist_ok=True)
    generator = np.random.default_rng(SEED)
    images, labels = load_digits(return_X_y=True)
    images = images.reshape(-1, PIXELS, PIXELS) / images.max()
    order = generator.permutation(len(images))
    held_out, trained = order[:HELD_OUT], order[HELD_OUT:]
    copies = {
        "train": (trained, SHORT_COPIES if arguments.short else COPIES),
        "eval": (held_out, SHORT_COPIES if arguments.short else EVAL_COPIES),
    }
    for name, (chosen, count) in copies.items():
        rows = np.repeat(chosen, count)
        path = arguments.folder / f"{name}.npz"
        np.savez_compressed(path, images=vary(images[rows], generator), labels=labels[rows])
        print(f"{path}: {len(rows)} images")


def vary(images: NDArray[np.float64], generator: np.random.Generator) -> NDArray[np.float32]:
    """Return each image turned and moved by a random amount, with noise, from 0 to 1 in steps of 1/255."""
    varied = []
    for image in images:
        turned = ndimage.rotate(image, generator.uniform(-MAX_TURN_DEGREES, MAX_TURN_DEGREES), reshape=False, order=1)
        moved = ndimage.shift(turned, generator.uniform(-MAX_SHIFT_PIXELS, MAX_SHIFT_PIXELS, 2), order=1)
        varied.append(moved + generator.normal(0, NOISE, image.shape))
    # A camera gives bytes.
    return (np.round(np.clip(np.array(varied), 0, 1) * 255) / 255).astype(np.float32)


if __name__ == "__main__":
    main()
