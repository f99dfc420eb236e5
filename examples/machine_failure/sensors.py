"""What the sensors of pumps report: noise, and faults that can be switched on."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from pump import CHANNELS, NOISE

WINDOW_S = 64


@dataclass(frozen=True, slots=True)
class SensorFaults:
    """Faults of the sensors themselves, which are no faults of the pump.

    Attributes:
        stuck: a channel that reports the first value of a window again and again.
        dropped_share: share of the samples that are lost; the last one before is reported instead.
        drift_k_per_day: error of the temperatures' calibration that grows by this much a day, in kelvin.
    """

    stuck: str | None = None
    dropped_share: float = 0.0
    drift_k_per_day: float = 0.0


NO_FAULTS = SensorFaults()
_TEMPERATURES = [number for number, name in enumerate(CHANNELS) if name.endswith("_temperature_k")]


def report(
    true: NDArray[np.float64], started_s: float, generator: np.random.Generator, faults: SensorFaults = NO_FAULTS
) -> NDArray[np.float32]:
    """Return what the sensors report of windows `(n, seconds, channels)` of true values that began at `started_s`."""
    values = true + NOISE * generator.standard_normal(true.shape)
    values[..., _TEMPERATURES] += faults.drift_k_per_day * started_s / 86400
    if faults.stuck is not None:
        channel = CHANNELS.index(faults.stuck)
        values[..., channel] = values[:, :1, channel]
    if faults.dropped_share:
        is_lost = generator.random(values.shape[:2]) < faults.dropped_share
        is_lost[:, 0] = False
        last = np.maximum.accumulate(np.where(is_lost, 0, np.arange(values.shape[1])), axis=1)
        values = np.take_along_axis(values, last[..., None], axis=1)
    return values.astype(np.float32)
