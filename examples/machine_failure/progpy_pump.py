"""The same lives by NASA's progpy, where it is installed: `pip install 'bento-monitor[pump]'`, of its own licence."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np

from pump import (
    RATES,
    SUCTION_PA,
    SYNCHRONOUS_RAD_S,
    VOLTAGE_V,
    Array,
    Pumps,
    Wear,
    ambient_k,
    discharge_pa,
    note_failures,
)

_PARAMETERS: dict[Wear, str] = {"impeller": "wA", "thrust": "wThrust", "radial": "wRadial"}


class _Values(np.ndarray):
    """Values of n pumps, of which progpy computes as of one: of a plain array it makes a matrix of leaks."""


def simulate_with_progpy(pumps: Pumps, seconds: int) -> Iterator[tuple[int, Array]]:
    """Yield what `pump.simulate` yields."""
    from progpy.models.centrifugal_pump import CentrifugalPumpBase

    model = CentrifugalPumpBase()
    model.parameters["r"] = pumps.rolling_friction
    for second in range(seconds):
        is_worn = (second >= pumps.onset_s) & np.isinf(pumps.failed_s)
        for wear, name in _PARAMETERS.items():
            model.parameters[name] = np.where(is_worn & (pumps.wear == wear), RATES[wear] * pumps.rate, 0.0)
        ambient, discharge = ambient_k(pumps, second), discharge_pa(pumps, second)
        loads = {
            "Tamb": ambient,
            "V": VOLTAGE_V,
            "pdisch": discharge,
            "psuc": SUCTION_PA,
            "wsync": SYNCHRONOUS_RAD_S,
        }
        state = {
            "w": pumps.speed,
            "Q": pumps.flow,
            "Tt": pumps.thrust_k,
            "Tr": pumps.radial_k,
            "To": pumps.oil_k,
            "A": pumps.area.view(_Values),
            "rRadial": pumps.radial_friction,
            "rThrust": pumps.thrust_friction,
            "QLeak": np.zeros_like(pumps.flow),  # a millionth of the flow
        }
        moved = model.next_state(state, loads, 1)
        pumps.speed, pumps.flow, pumps.area = moved["w"], moved["Q"], moved["A"]
        pumps.thrust_k, pumps.radial_k, pumps.oil_k = moved["Tt"], moved["Tr"], moved["To"]
        pumps.thrust_friction, pumps.radial_friction = moved["rThrust"], moved["rRadial"]
        note_failures(pumps, second)
        columns = [pumps.speed, pumps.flow, pumps.thrust_k, pumps.radial_k, pumps.oil_k, ambient, discharge]
        yield second, np.stack(columns, axis=1)
