"""What a lender asks beside the area under the curve: whether the probabilities are those of the loans that fail."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np

_TENTHS = 10


def figures(answers: Sequence[Mapping[str, Any]], data: Path) -> dict[str, float]:
    """Return how well the probabilities are calibrated; `answers` are the decisions on the applications in `data`.

    The calibration error is that of tenths of the applications by probability: the mean distance of their mean
    probability from the share that failed.
    """
    given = np.array([answer["probability"] for answer in answers])
    failed = np.array(
        [json.loads(line)["label"] for line in data.read_text(encoding="utf-8").splitlines()], dtype=float
    )
    tenths = np.array_split(np.argsort(given, kind="stable"), _TENTHS)
    distances = [abs(float(given[rows].mean() - failed[rows].mean())) for rows in tenths]
    return {
        "mean probability": float(given.mean()),
        "share that failed": float(failed.mean()),
        "calibration error": float(np.average(distances, weights=[len(rows) for rows in tenths])),
        "Brier score": float(((given - failed) ** 2).mean()),
    }
