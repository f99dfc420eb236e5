"""The metric of alarms: how many failures are found in time, at a fixed number of false alarms."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

FALSE_ALARMS_PER_DAY = 1.0
# An alarm counts as in time if at least this share of the pump's life is left: some six hours. With a twentieth, all
# failures are found, and a model that lost accuracy could not be told from one that did not.
AHEAD = 0.15
DAY_S = 86400.0
AT_S, ONSET_S, FAILED_S = range(3)  # the columns of the labels


@dataclass(frozen=True, slots=True)
class Alarms:
    """Alarms of one threshold.

    Attributes:
        threshold: an alarm is a score above it.
        false_per_day: alarms before the onset of wear, for each pump and day.
        found: whether each life's failure was found in time.
        ahead_s: time from the first alarm after the onset to the failure, for each life that was found.
    """

    threshold: float
    false_per_day: float
    found: NDArray[np.bool_]
    ahead_s: NDArray[np.float64]


def recall(answers: NDArray[np.float64], labels: NDArray[np.float64], groups: NDArray[np.int64]) -> float:
    """Return the share of lives whose failure is found in time, at one false alarm for each pump and day.

    `answers` `(n,)` are the scores of windows, `labels` `(n, 3)` the time of the window, of the onset of wear, and of
    the failure, in seconds of the pump's life; `groups` `(n,)` are the pumps.
    """
    return float(alarms(answers, labels, groups).found.mean())


def alarms(
    answers: NDArray[np.float64],
    labels: NDArray[np.float64],
    groups: NDArray[np.int64],
    per_day: float = FALSE_ALARMS_PER_DAY,
    ahead: float = AHEAD,
) -> Alarms:
    """Return the alarms of the lowest threshold that gives at most `per_day` false alarms.

    A failure is found if there is an alarm between the onset of wear and the last `ahead` of the pump's life.
    """
    scores = np.asarray(answers, dtype=np.float64).reshape(-1)
    at_s, onset_s, failed_s = labels[:, AT_S], labels[:, ONSET_S], labels[:, FAILED_S]
    firsts = np.unique(groups, return_index=True)[1]
    is_healthy = at_s < onset_s
    healthy_days = onset_s[firsts].sum() / DAY_S
    allowed = int(per_day * healthy_days)
    healthy = np.sort(scores[is_healthy])[::-1]
    threshold = healthy[allowed] if allowed < len(healthy) else -np.inf
    is_alarm = scores > threshold
    is_in_time = is_alarm & ~is_healthy & (at_s <= failed_s * (1 - ahead))
    numbers = np.searchsorted(groups[firsts], groups)
    first_s = np.full(len(firsts), np.inf)
    np.minimum.at(first_s, numbers[is_in_time], at_s[is_in_time])
    found = np.isfinite(first_s)
    ahead_s = failed_s[firsts][found] - first_s[found]
    return Alarms(float(threshold), int((is_alarm & is_healthy).sum()) / healthy_days, found, ahead_s)
