"""When an open load sends: planned before it starts, so that a slow server cannot slow its own load down."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Literal

import numpy as np

ArrivalProcess = Literal["poisson", "constant"]

_CHUNK = 4096
_NS_PER_S = 1e9


def arrival_times(process: ArrivalProcess, rate_rps: float, seed: int) -> Iterator[int]:
    """Planned times in ns after the start, without end, the same for the same seed.

    A Poisson process has independent exponential gaps: what many independent users send together.
    """
    generator = np.random.default_rng((seed, 2))
    gap_ns = _NS_PER_S / rate_rps
    last = 0.0
    while True:
        gaps = generator.exponential(gap_ns, _CHUNK) if process == "poisson" else np.full(_CHUNK, gap_ns)
        times = last + np.cumsum(gaps)
        last = float(times[-1])
        yield from times.astype(np.int64).tolist()
