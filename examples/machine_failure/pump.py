"""Lives of centrifugal pumps, second by second, from new to failure.

The physics and its constants are those of M. Daigle and K. Goebel, "Model-based Prognostics with Concurrent Damage
Progression Processes", IEEE Transactions on Systems, Man, and Cybernetics: Systems 43 (3), 2013, which NASA's progpy
simulates too: an induction motor drives an impeller; friction heats two bearings and their oil. Wear of the impeller,
of the thrust bearing or of the radial bearing begins at some time, and ends when the impeller's area, or a temperature,
reaches its limit.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Literal

import numpy as np
from numpy.typing import NDArray

Array = NDArray[np.float64]
Wear = Literal["impeller", "thrust", "radial"]
WEARS: tuple[Wear, ...] = ("impeller", "thrust", "radial")

CHANNELS = (
    "speed_rad_s",
    "flow_m3_s",
    "thrust_temperature_k",
    "radial_temperature_k",
    "oil_temperature_k",
    "ambient_temperature_k",
    "discharge_pressure_pa",
)
NOISE = np.array([0.3, 2e-4, 0.8, 0.8, 0.6, 0.6, 3000.0])
# A sensor's own error of calibration, which stays the same for the life of a pump.
CALIBRATION_ERROR = np.array([0.15, 2e-3, 4.0, 4.0, 3.0, 2.0, 8000.0])
CYCLE_S = 3600
DAY_S = 86400
SYNCHRONOUS_RAD_S, VOLTAGE_V, SUCTION_PA = 376.991118431, 471.2389, 239179.0
_PRESSURES_PA = np.array([928654.0, 1_153_000.0, 1_010_000.0, 1_236_000.0, 1_080_000.0])
_LIMIT_AREA, _LIMIT_BEARING_K, _LIMIT_OIL_K = 9.5, 370.0, 350.0


@dataclass(slots=True)
class Pumps:
    """The state of n pumps; each field is `(n,)`, but for the error of each sensor, `(n, channels)`."""

    wear: NDArray[np.str_]
    onset_s: Array
    rate: Array
    ambient_k: Array
    day_swing_k: Array
    phase_s: Array
    rolling_friction: Array
    speed: Array
    flow: Array
    thrust_k: Array
    radial_k: Array
    oil_k: Array
    area: Array
    thrust_friction: Array
    radial_friction: Array
    calibration_error: Array
    failed_s: Array


def new_pumps(count: int, generator: np.random.Generator) -> Pumps:
    """Return new pumps that differ a little from each other, in warm condition."""

    def about(value: float, spread: float) -> Array:
        return value * (1 + spread * generator.standard_normal(count))

    ambient = generator.uniform(283, 298, count)
    return Pumps(
        wear=np.array(WEARS)[generator.integers(0, len(WEARS), count)],
        onset_s=generator.uniform(0.4, 0.9, count) * DAY_S,
        rate=np.exp(generator.normal(0, 0.35, count)),
        ambient_k=ambient,
        day_swing_k=generator.uniform(1, 6, count),
        phase_s=generator.uniform(0, DAY_S, count),
        rolling_friction=about(0.008, 0.05),
        speed=np.full(count, 0.99 * SYNCHRONOUS_RAD_S),
        flow=np.full(count, 0.08),
        thrust_k=ambient + 25,
        radial_k=ambient + 25,
        oil_k=ambient + 15,
        area=about(12.7084, 0.01),
        thrust_friction=about(1.4e-6, 0.12),
        radial_friction=about(1.8e-6, 0.12),
        calibration_error=CALIBRATION_ERROR * generator.standard_normal((count, len(CHANNELS))),
        failed_s=np.full(count, np.inf),
    )


# The rate of each kind of wear at which a typical pump fails about a day after its onset.
RATES: dict[Wear, float] = {"impeller": 4.5e-3, "thrust": 6.0e-11, "radial": 9.0e-11}


def simulate(pumps: Pumps, seconds: int) -> Iterator[tuple[int, Array]]:
    """Yield each second and the true values of `CHANNELS`, `(n, channels)`; the state of `pumps` moves with it."""
    rates = {wear: np.where(pumps.wear == wear, rate * pumps.rate, 0.0) for wear, rate in RATES.items()}
    for second in range(seconds):
        ambient, discharge = ambient_k(pumps, second), discharge_pa(pumps, second)
        _step(pumps, rates, second, ambient, discharge)
        note_failures(pumps, second)
        columns = [pumps.speed, pumps.flow, pumps.thrust_k, pumps.radial_k, pumps.oil_k, ambient, discharge]
        yield second, np.stack(columns, axis=1)


def ambient_k(pumps: Pumps, second: int) -> Array:
    """Return the temperature around each pump, which swings by day and night."""
    return pumps.ambient_k + pumps.day_swing_k * np.sin(2 * np.pi * (second + pumps.phase_s) / DAY_S)


def discharge_pa(pumps: Pumps, second: int) -> Array:
    """Return the pressure that each pump works against: five levels an hour, with short ramps between them."""
    place = ((second + pumps.phase_s) % CYCLE_S) / CYCLE_S * len(_PRESSURES_PA)
    level = place.astype(np.int64) % len(_PRESSURES_PA)
    ramp = np.minimum((place - np.floor(place)) * 10, 1.0)
    pressure: Array = _PRESSURES_PA[level - 1] * (1 - ramp) + _PRESSURES_PA[level] * ramp
    return pressure


def note_failures(pumps: Pumps, second: int) -> None:
    """Note the pumps that fail in this second: a limit of the impeller's area or of a temperature is reached."""
    has_failed = (pumps.area <= _LIMIT_AREA) | (pumps.oil_k >= _LIMIT_OIL_K)
    has_failed |= (pumps.thrust_k >= _LIMIT_BEARING_K) | (pumps.radial_k >= _LIMIT_BEARING_K)
    pumps.failed_s = np.where(has_failed & np.isinf(pumps.failed_s), second, pumps.failed_s)


def _step(pumps: Pumps, rates: dict[Wear, Array], second: int, ambient: Array, discharge: Array) -> None:
    speed, flow = pumps.speed, pumps.flow
    worn = ((second >= pumps.onset_s) & np.isinf(pumps.failed_s)).astype(np.float64)
    slip = np.clip((SYNCHRONOUS_RAD_S - speed) / SYNCHRONOUS_RAD_S, 1e-6, 1)
    torque = 3 * 0.076 / (slip * SYNCHRONOUS_RAD_S) * VOLTAGE_V**2
    torque /= (0.36 + 0.076 / slip) ** 2 + (SYNCHRONOUS_RAD_S * 0.00063) ** 2
    back_torque = -9179.4 * flow**2 + 5.77703 * speed * flow + 0.00149204 * speed**2
    friction = (pumps.rolling_friction + pumps.thrust_friction + pumps.radial_friction) * speed
    difference = pumps.area * speed**2 + 17984.6 * speed * flow + SUCTION_PA - discharge
    driven_flow = 8.24123e-5 * np.sqrt(np.abs(difference)) * np.sign(difference)
    heat = speed**2
    thrust_k, radial_k, oil_k = pumps.thrust_k, pumps.radial_k, pumps.oil_k
    pumps.oil_k = oil_k + ((thrust_k - oil_k) + 3 * (radial_k - oil_k) + 1.5 * (ambient - oil_k)) / 8000
    thrust_heat = pumps.thrust_friction * heat - 0.0034 * (thrust_k - ambient) - 0.0026 * (thrust_k - oil_k)
    radial_heat = pumps.radial_friction * heat - 0.0018 * (radial_k - ambient) - 0.020 * (radial_k - oil_k)
    pumps.thrust_k, pumps.radial_k = thrust_k + thrust_heat / 7.3, radial_k + radial_heat / 2.4
    pumps.speed = speed + (torque - friction - back_torque) / 50
    pumps.flow = flow + (driven_flow - flow) / 5
    pumps.area = pumps.area - worn * rates["impeller"] * flow**2
    pumps.thrust_friction = pumps.thrust_friction * (1 + worn * rates["thrust"] * heat)
    pumps.radial_friction = pumps.radial_friction * (1 + worn * rates["radial"] * heat)
