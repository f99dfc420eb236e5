"""Operators of a call in torch and ONNX Runtime: arithmetic, bytes, and the time of each operator."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass, field

_LARGEST = 8
_MIN_SHARE = 0.01


@dataclass(frozen=True, slots=True)
class Operators:
    """Totals of one call: GFLOP, GiB read and written by its operators, and microseconds in each operator itself.

    The bytes are those of each operator's tensors, as if no cache held tensors between two operators. An operator of
    unknown arithmetic counts as 0 GFLOP.
    """

    gflop: float = 0.0
    gib: float = 0.0
    own_us: Mapping[str, float] = field(default_factory=dict)

    def __add__(self, other: Operators) -> Operators:
        own_us = Counter(self.own_us)
        own_us.update(other.own_us)
        return Operators(self.gflop + other.gflop, self.gib + other.gib, own_us)

    @property
    def shares(self) -> tuple[tuple[str, float], ...]:
        """Operators with the largest shares of the total operator time, largest first."""
        total_us = sum(self.own_us.values())
        largest = sorted(self.own_us, key=lambda name: -self.own_us[name])[:_LARGEST]
        return tuple(
            (name, self.own_us[name] / total_us) for name in largest if self.own_us[name] >= _MIN_SHARE * total_us
        )
