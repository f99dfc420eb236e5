"""Pumps that wear until they fail, sensors that fail themselves, and the metric of alarms."""

from __future__ import annotations

import importlib.util
import sys
from pathlib import Path
from types import ModuleType

import numpy as np
import pytest
from numpy.typing import NDArray

FOLDER = Path(__file__).parents[2] / "examples" / "machine_failure"


@pytest.fixture
def modules(monkeypatch: pytest.MonkeyPatch) -> dict[str, ModuleType]:
    """Import the example's modules, whose names other examples use too."""
    monkeypatch.syspath_prepend(str(FOLDER))
    names = ("pump", "sensors", "alarms", "progpy_pump")
    for name in names:
        monkeypatch.delitem(sys.modules, name, raising=False)
    return {name: importlib.import_module(name) for name in names}


def test_healthy_pump_runs_at_its_working_point_and_worn_ones_reach_their_own_limit(
    modules: dict[str, ModuleType],
) -> None:
    pump = modules["pump"]
    pumps = pump.new_pumps(9, np.random.default_rng(0))
    pumps.wear[:] = np.repeat(pump.WEARS, 3)
    pumps.onset_s[:] = 3 * 3600
    pumps.rate[:] = 20.0
    pumps.rate[::3] = 0.0  # one of each kind never wears
    last = np.zeros((9, len(pump.CHANNELS)))
    for _, values in pump.simulate(pumps, 8 * 3600):
        last = values
    is_healthy = pumps.rate == 0
    speed, flow, thrust_k, radial_k, oil_k, ambient_k, _ = last[is_healthy].T
    assert ((speed > 365) & (speed < 377)).all()
    assert ((flow > 0.08) & (flow < 0.13)).all()
    assert (thrust_k > radial_k).all()
    assert (radial_k > oil_k).all()
    assert (oil_k > ambient_k + 10).all()
    assert np.isinf(pumps.failed_s[is_healthy]).all()
    assert (pumps.failed_s[~is_healthy] > pumps.onset_s[~is_healthy]).all()
    assert np.isfinite(pumps.failed_s[~is_healthy]).all()
    assert (pumps.area[:3][~is_healthy[:3]] <= 9.5).all()


def test_physics_is_that_of_progpy(modules: dict[str, ModuleType]) -> None:
    if importlib.util.find_spec("progpy") is None:
        pytest.skip("progpy is not installed: pip install 'bento-monitor[pump]'")
    pump, by_progpy = modules["pump"], modules["progpy_pump"]
    ours, theirs = (pump.new_pumps(12, np.random.default_rng(1)) for _ in range(2))
    for pumps in (ours, theirs):
        pumps.onset_s[:] = 600
        pumps.rate[:] = 5.0
    pairs = zip(pump.simulate(ours, 3600), by_progpy.simulate_with_progpy(theirs, 3600), strict=True)
    for (_, left), (_, right) in pairs:
        np.testing.assert_allclose(left, right, rtol=1e-8)


def readings(modules: dict[str, ModuleType], **faults: object) -> NDArray[np.float32]:
    sensors = modules["sensors"]
    channels = len(modules["pump"].CHANNELS)
    true = 300 + np.cumsum(np.random.default_rng(2).normal(0, 5, (3, 64, channels)), axis=1)
    found: NDArray[np.float32] = sensors.report(
        true, 86_400.0, np.random.default_rng(3), sensors.SensorFaults(**faults)
    )
    return found


def test_stuck_sensor_repeats_its_first_value_and_others_move(modules: dict[str, ModuleType]) -> None:
    found = readings(modules, stuck="flow_m3_s")
    channel = modules["pump"].CHANNELS.index("flow_m3_s")
    assert (found[..., channel] == found[:, :1, channel]).all()
    others = np.delete(found, channel, axis=2)
    np.testing.assert_array_equal(others, np.delete(readings(modules), channel, axis=2))


def test_dropped_samples_are_replaced_by_the_last_one_before(modules: dict[str, ModuleType]) -> None:
    found, whole = readings(modules, dropped_share=0.3), readings(modules)
    is_kept = (found == whole).all(axis=2)
    assert 0.55 < is_kept.mean() < 0.85
    assert is_kept[:, 0].all()
    for window, second in np.argwhere(~is_kept):
        np.testing.assert_array_equal(found[window, second], found[window, second - 1])


def test_drifted_calibration_moves_the_temperatures_alone(modules: dict[str, ModuleType]) -> None:
    moved = readings(modules, drift_k_per_day=2.5) - readings(modules)
    is_temperature = np.array([name.endswith("temperature_k") for name in modules["pump"].CHANNELS])
    np.testing.assert_allclose(moved[..., is_temperature], 2.5, atol=1e-3)
    assert (moved[..., ~is_temperature] == 0).all()


def test_recall_is_that_of_the_lowest_threshold_with_few_enough_false_alarms(modules: dict[str, ModuleType]) -> None:
    alarms = modules["alarms"]
    day_s = alarms.DAY_S
    at_s = np.tile([0.2, 0.4, 0.6, 1.2, 1.6, 1.9], 4) * day_s
    labels = np.column_stack([at_s, np.full(24, day_s), np.full(24, 2 * day_s)])  # worn after a day, failed after two
    groups = np.repeat(np.arange(4), 6)
    scores = np.zeros((4, 6))
    scores[:, :3] = [[0.9, 0.5, 0.1], [0.4, 0.3, 0.1], [0.2, 0.1, 0.1], [0.1, 0.1, 0.1]]
    scores[0, 3] = 0.95  # found early
    scores[1, 4] = 0.45  # found, unless only one false alarm is borne
    scores[2, 5] = 0.99  # too late
    few = alarms.alarms(scores.ravel(), labels, groups, per_day=0.25)  # one in four healthy days
    assert (few.threshold, few.false_per_day, few.found.tolist()) == (0.5, 0.25, [True, False, False, False])
    more = alarms.alarms(scores.ravel(), labels, groups, per_day=0.5)
    assert (more.threshold, more.found.tolist()) == (0.4, [True, True, False, False])
    assert more.ahead_s.tolist() == pytest.approx([0.8 * day_s, 0.4 * day_s])
    late = alarms.alarms(scores.ravel(), labels, groups, per_day=0.5, ahead=0.05)
    assert late.found.tolist() == [True, True, True, False]
