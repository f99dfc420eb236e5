"""When an open load sends: the times are planned in advance, so that a slow server cannot slow down its own load."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Literal

import numpy as np
from numpy.typing import NDArray

from ...errors import InputError

ArrivalProcess = Literal["poisson", "constant", "bursty", "recorded"]

_CHUNK = 4096
_NS_PER_S = 1e9
# Shape of the gamma distribution of bursty gaps: their squared coefficient of variation is 4, a Poisson process's is 1.
_BURSTY_SHAPE = 0.25
_RECORDING = "write the time of one request, in seconds, on each line"


def arrival_times(process: ArrivalProcess, rate_rps: float, seed: int) -> Iterator[int]:
    """Yield planned times in ns after the start, without end, the same for the same seed.

    A Poisson process has independent exponential gaps, as when many independent users send requests. A bursty process
    has gamma gaps of the same mean: most requests come shortly after another, and then there is a pause.
    """
    generator = np.random.default_rng((seed, 2))
    gap_ns = _NS_PER_S / rate_rps
    draw: dict[str, Callable[[], NDArray[np.float64]]] = {
        "poisson": lambda: generator.exponential(gap_ns, _CHUNK),
        "constant": lambda: np.full(_CHUNK, gap_ns),
        "bursty": lambda: generator.gamma(_BURSTY_SHAPE, gap_ns / _BURSTY_SHAPE, _CHUNK),
    }
    last = 0.0
    while True:
        times = last + np.cumsum(draw[process]())
        last = float(times[-1])
        yield from times.astype(np.int64).tolist()


def read_recording(path: Path) -> list[int]:
    """Return planned times in ns after the start, from a text file with the time of one request, in seconds, per line.

    The times are sorted, and the first request is planned for the start, whatever its time in the recording.

    Raises:
        InputError: the file cannot be read, or holds something that is not a number of seconds.
    """
    try:
        times_s = np.array([float(line) for line in path.read_text(encoding="utf-8").splitlines() if line.strip()])
    except (OSError, ValueError) as error:
        raise InputError(f"{path} holds no recorded arrivals ({error}): {_RECORDING}.") from error
    if not len(times_s) or not np.isfinite(times_s).all():
        raise InputError(f"{path} holds no recorded arrivals: {_RECORDING}.")
    offsets = np.sort(times_s) - times_s.min()
    times: list[int] = np.round(offsets * _NS_PER_S).astype(np.int64).tolist()
    return times
