"""What a maintainer asks beside the recall: how long before the failure the alarm comes, and how often it is false."""

from __future__ import annotations

from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from alarms import ONSET_S, alarms

HOUR_S, DAY_S = 3600.0, 86_400.0
LATE = 0.05


def figures(answers: NDArray[np.float64], data: Path) -> dict[str, float]:
    """Return lead times and false alarms; `answers` are the scores of the windows in `data`, in their order."""
    with np.load(data) as arrays:
        labels, groups = arrays["labels"], arrays["groups"]
    found, late = alarms(answers, labels, groups), alarms(answers, labels, groups, ahead=LATE)
    onsets_s = labels[np.unique(groups, return_index=True)[1], ONSET_S]
    return {
        "hours from alarm to failure, median": float(np.median(found.ahead_s)) / HOUR_S,
        "the same, of nine pumps in ten": float(np.percentile(found.ahead_s, 10)) / HOUR_S,
        "false alarms a pump-day": found.false_per_day,
        "healthy pump-days": float(onsets_s.sum()) / DAY_S,
        f"found with {LATE:.0%} of the life left": float(late.found.mean()),
    }
