"""A user's situation: a service, its samples with labels, and the options of `optimize`."""

from __future__ import annotations

import json
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

# Share of labels, so that no model is perfect, and a broken one still stands out.
NOISE = 0.1
Write = Callable[[Path, int, int], Path]
"""Write samples, drawn with a seed, into a folder; return the path for `--data`."""


@dataclass(frozen=True, slots=True)
class Situation:
    """A situation of the benchmark: `target` is served from this folder, `before` writes the files it needs.

    `samples` is the number that the tool requires for the metric and `max_drop`.
    """

    name: str
    target: str
    metric: str
    write: Write
    options: tuple[str, ...] = ()
    before: Callable[[Path], None] | None = None
    may_be_refused: bool = False
    max_drop: str = "0.02"
    samples: int = 1600


def noisy(labels: NDArray[Any], seed: int) -> NDArray[Any]:
    """Return the labels, a tenth of them drawn again from all labels."""
    generator = np.random.default_rng(seed)
    drawn = generator.permutation(labels)
    return np.where(generator.random(len(labels)) < NOISE, drawn, labels)


def save(folder: Path, **arrays: Any) -> Path:
    """Write samples and labels as an `.npz`."""
    folder.mkdir(parents=True, exist_ok=True)
    np.savez(folder / "data.npz", **arrays)
    return folder / "data.npz"


def save_lines(folder: Path, bodies: Sequence[dict[str, Any]], labels: Sequence[Any]) -> Path:
    """Write request bodies with their labels as `.jsonl`."""
    folder.mkdir(parents=True, exist_ok=True)
    path = folder / "data.jsonl"
    lines = [json.dumps({**body, "label": label}) for body, label in zip(bodies, labels, strict=True)]
    path.write_text("\n".join(lines) + "\n", encoding="utf-8")
    return path


def features(count: int, seed: int, width: int = 64) -> NDArray[np.float32]:
    """Return samples of independent numbers."""
    return np.random.default_rng(seed).normal(size=(count, width)).astype(np.float32)
