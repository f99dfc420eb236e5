"""Write the data of both streams.

`train.npz` and `eval.npz` have windows of sensor readings from the lives of pumps, each until its failure.
`radiator_train.npz` and `radiator_eval.npz` have readings of nine sensors of a space shuttle's radiator (UCI Statlog):
49,097, of which 3,511 are abnormal. They come in random order, without time: each is judged by itself.
"""

from __future__ import annotations

import argparse
import csv
import gzip
import sys
from pathlib import Path

import numpy as np

from progpy_pump import simulate_with_progpy
from pump import DAY_S, new_pumps, simulate
from sensors import NO_FAULTS, WINDOW_S, SensorFaults, report

sys.path.append(str(Path(__file__).resolve().parents[1] / "common"))
from wheels import wheel_file

SEED = 0
STRIDE_S = 1200
LIVES, SHORT_LIVES = {"train": 240, "eval": 120}, {"train": 24, "eval": 20}
LONGEST_S = int(3.5 * DAY_S)
RADIATOR = ("river==0.26.1", "river/datasets/shuttle.csv.gz")
RADIATOR_SHA256 = "1ed4bfa77233d95bff2c8ab2482725d2d800410daedf5919ad80ec6faf60ff59"


def main() -> None:
    """Write the files into the folder given as argument, by default `files` beside this script."""
    parser = argparse.ArgumentParser(description="Write the data of pumps and radiator.")
    parser.add_argument("folder", nargs="?", type=Path, default=Path(__file__).with_name("files"))
    parser.add_argument("--short", action="store_true", help="Only a few pumps.")
    parser.add_argument("--progpy", action="store_true", help="Simulate by NASA's progpy, which must be installed.")
    parser.add_argument("--stuck", help="A channel of the evaluated pumps whose sensor is stuck.")
    parser.add_argument("--dropped-share", type=float, default=0.0, help="Share of the evaluated samples to lose.")
    parser.add_argument("--drift-k-per-day", type=float, default=0.0, help="Drift of the evaluated temperatures.")
    arguments = parser.parse_args()
    faults = SensorFaults(arguments.stuck, arguments.dropped_share, arguments.drift_k_per_day)
    arguments.folder.mkdir(parents=True, exist_ok=True)
    for seed, (name, lives) in enumerate((SHORT_LIVES if arguments.short else LIVES).items()):
        generator = np.random.default_rng([SEED, seed])
        arrays = live(lives, generator, faults if name == "eval" else NO_FAULTS, is_by_progpy=arguments.progpy)
        np.savez_compressed(
            arguments.folder / f"{name}.npz",
            windows=arrays["windows"],
            labels=arrays["labels"],
            groups=arrays["groups"],
        )
        print(f"{name}.npz: {len(arrays['windows'])} windows of {lives} lives", flush=True)
    write_radiator(arguments.folder)


def live(
    lives: int, generator: np.random.Generator, faults: SensorFaults = NO_FAULTS, *, is_by_progpy: bool = False
) -> dict[str, np.ndarray]:
    """Return windows `(n, WINDOW_S, channels)`, one each `STRIDE_S` of each life, with the pump of each as its group.

    The labels `(n, 3)` are the seconds of life at the end of the window, at the onset of wear and at the failure.
    """
    pumps = new_pumps(lives, generator)
    readings, ends = [], []
    window: list[np.ndarray] = []
    for second, true in (simulate_with_progpy if is_by_progpy else simulate)(pumps, LONGEST_S):
        if second % STRIDE_S >= STRIDE_S - WINDOW_S:
            window.append(true)
        if len(window) == WINDOW_S:
            readings.append(
                report(np.stack(window, axis=1) + pumps.calibration_error[:, None], second, generator, faults)
            )
            ends.append(second)
            window = []
            if np.isfinite(pumps.failed_s).all():
                break
    at_s = np.array(ends, dtype=np.float64)
    is_alive = at_s[:, None] < pumps.failed_s
    moment, pump = np.nonzero(is_alive)
    order = np.lexsort((moment, pump))
    moment, pump = moment[order], pump[order]
    labels = np.stack([at_s[moment], pumps.onset_s[pump], pumps.failed_s[pump]], axis=1)
    return {"windows": np.stack(readings)[moment, pump], "labels": labels, "groups": pump}


def write_radiator(folder: Path) -> None:
    """Write each half of the radiator's readings: `readings` `(n, 9)`, and `labels` `(n,)`, 1 for an abnormal one."""
    with gzip.open(wheel_file(*RADIATOR, RADIATOR_SHA256), "rt", encoding="utf-8") as file:
        rows = np.array(list(csv.reader(file))[1:], dtype=np.float32)
    order = np.random.default_rng(SEED).permutation(len(rows))
    for name, half in zip(("train", "eval"), np.array_split(order, 2), strict=True):
        labels = rows[half, -1].astype(np.int64)
        np.savez_compressed(folder / f"radiator_{name}.npz", readings=rows[half, :-1], labels=labels)
        print(f"radiator_{name}.npz: {len(half)} readings, {labels.sum()} of them abnormal", flush=True)


if __name__ == "__main__":
    main()
