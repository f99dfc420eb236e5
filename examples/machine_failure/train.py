"""Train the networks of pumps and radiator on train.npz and radiator_train.npz, and write their weights."""

from __future__ import annotations

import argparse
import sys
from pathlib import Path

import numpy as np
import torch
from safetensors.torch import save_file

from alarms import AHEAD, AT_S, FAILED_S, alarms
from model import PUMP_WEIGHTS, RADIATOR_WEIGHTS, RadiatorNet, WearNet

sys.path.append(str(Path(__file__).resolve().parents[1] / "common"))
from fitting import fit

SEED = 0
EPOCHS, SHORT_EPOCHS = 4, 3
BATCH_SIZE = 128
LEARNING_RATE = 2e-3
# The network learns to tell windows this close to the failure from all others.
CLOSE_S = 10 * 3600


def main() -> None:
    """Read and write in the folder given as argument, by default `files` beside this script."""
    parser = argparse.ArgumentParser(description="Train the networks of pumps and radiator.")
    parser.add_argument("folder", nargs="?", type=Path, default=Path(__file__).with_name("files"))
    parser.add_argument("--short", action="store_true", help=f"Only {SHORT_EPOCHS} passes over the data.")
    arguments = parser.parse_args()
    epochs = SHORT_EPOCHS if arguments.short else EPOCHS
    torch.manual_seed(SEED)
    pump = train_pump(arguments.folder / "train.npz", epochs)
    save_file(pump.state_dict(), arguments.folder / PUMP_WEIGHTS)
    report_pump(pump, arguments.folder / "eval.npz")
    radiator = train_radiator(arguments.folder / "radiator_train.npz", epochs)
    save_file(radiator.state_dict(), arguments.folder / RADIATOR_WEIGHTS)
    report_radiator(radiator, arguments.folder / "radiator_eval.npz")


def train_pump(path: Path, epochs: int) -> WearNet:
    """Return a network that tells windows close to a failure from others."""
    with np.load(path, allow_pickle=False) as arrays:
        windows, labels = torch.from_numpy(arrays["windows"]), arrays["labels"]
    model = WearNet()
    model.mean.copy_(windows.mean(dim=(0, 1)))
    model.scale.copy_(windows.std(dim=(0, 1)))
    tell_apart(model, windows, labels[:, FAILED_S] - labels[:, AT_S] < CLOSE_S, epochs)
    return model.eval()


def train_radiator(path: Path, epochs: int) -> RadiatorNet:
    """Return a network that tells abnormal readings from others."""
    with np.load(path, allow_pickle=False) as arrays:
        readings, labels = torch.from_numpy(arrays["readings"]), arrays["labels"]
    model = RadiatorNet()
    low, middle, high = torch.quantile(readings, torch.tensor([0.25, 0.5, 0.75]), dim=0)
    model.middle.copy_(middle)
    model.width.copy_((high - low).clamp_min(1.0))
    tell_apart(model, readings, labels == 1, epochs)
    return model.eval()


def tell_apart(model: torch.nn.Module, inputs: torch.Tensor, is_positive: np.ndarray, epochs: int) -> None:
    """Train the model to tell positive inputs from others."""
    targets = torch.from_numpy(is_positive).float()

    def loss_of(rows: torch.Tensor) -> torch.Tensor:
        return torch.nn.functional.binary_cross_entropy_with_logits(model(inputs[rows]), targets[rows])

    fit(model, loss_of, len(inputs), epochs=epochs, batch_size=BATCH_SIZE, learning_rate=LEARNING_RATE)


@torch.inference_mode()
def report_pump(model: WearNet, path: Path) -> None:
    """Print how many of the held-out failures are found in time."""
    with np.load(path, allow_pickle=False) as arrays:
        scores = model(torch.from_numpy(arrays["windows"])).double().numpy()
        for ahead in (0.05, AHEAD):
            found = alarms(scores, arrays["labels"], arrays["groups"], ahead=ahead)
            print(
                f"{found.found.sum()} of {len(found.found)} failures found with {ahead:.0%} of the life left, at "
                f"{found.false_per_day:.2f} false alarms a day: {np.median(found.ahead_s) / 3600:.1f} hours ahead in "
                "the median"
            )


@torch.inference_mode()
def report_radiator(model: RadiatorNet, path: Path) -> None:
    """Print how many of the held-out abnormal readings are found, at one false alarm in a thousand readings."""
    with np.load(path, allow_pickle=False) as arrays:
        scores, is_abnormal = model(torch.from_numpy(arrays["readings"])).double().numpy(), arrays["labels"] == 1
    threshold = np.quantile(scores[~is_abnormal], 0.999)
    print(f"{(scores[is_abnormal] > threshold).mean():.2%} of the radiator's abnormal readings found")


if __name__ == "__main__":
    main()
