"""Watches machines: windows of sensor readings in, how close each machine is to a failure out."""

from __future__ import annotations

import bentoml
import numpy as np
import torch
from bento_monitor import MonitoredRunner, monitored

from model import load_pump_model, load_radiator_model


@monitored
@bentoml.service
class MachineWatch:
    """Scores from 0 to 1; which score is an alarm is decided by how many false alarms are bearable."""

    def __init__(self) -> None:
        self.pump = MonitoredRunner(load_pump_model(), name="pump")
        self.radiator = MonitoredRunner(load_radiator_model(), name="radiator")

    @bentoml.api(batchable=True)
    def watch_pump(self, windows: np.ndarray) -> np.ndarray:
        """Return the scores `(n,)` of windows `(n, seconds, channels)`, in the units of `pump.CHANNELS`."""
        readings = torch.from_numpy(windows.astype(np.float32))
        with torch.inference_mode():
            return self.pump(readings).sigmoid().numpy()

    @bentoml.api(batchable=True)
    def watch_radiator(self, readings: np.ndarray) -> np.ndarray:
        """Return the scores `(n,)` of readings `(n, 9)`."""
        sensors = torch.from_numpy(readings.astype(np.float32))
        with torch.inference_mode():
            return self.radiator(sensors).sigmoid().numpy()
