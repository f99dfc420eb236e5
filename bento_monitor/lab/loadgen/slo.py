"""A service level objective (SLO) on latency."""

from __future__ import annotations

import re
from dataclasses import dataclass

from ...errors import InputError
from ..statistics.percentiles import min_samples

_SLO = re.compile(r"p(?P<percentile>\d{1,2}(?:\.\d+)?)\s*=\s*(?P<value>\d+(?:\.\d+)?)\s*(?P<unit>ms|s)")
_SPARE_RATIO = 1.2


@dataclass(frozen=True, slots=True)
class Slo:
    """A limit on a percentile of latency: that share of requests is answered with 2xx within the limit."""

    percentile: float
    limit_ms: float

    def least_seconds(self, rate_rps: float) -> float:
        """Return how long a load of that rate must be to show that the SLO is met."""
        return min_samples(self.percentile) * _SPARE_RATIO / rate_rps

    def __str__(self) -> str:
        return f"p{self.percentile:g}={self.limit_ms:g}ms"


def parse_slo(text: str) -> Slo:
    """Read an SLO such as `p99=50ms` or `p95=1.5s`.

    Raises:
        InputError: the text has another form, or the limit is 0.
    """
    match = _SLO.fullmatch(text.strip())
    limit_ms = 0.0
    if match is not None:
        limit_ms = float(match["value"]) * (1000.0 if match["unit"] == "s" else 1.0)
    if match is None or limit_ms <= 0 or float(match["percentile"]) <= 0:
        raise InputError(f"The SLO {text!r} cannot be read: write a percentile and a limit, such as p99=50ms.")
    return Slo(float(match["percentile"]), limit_ms)
