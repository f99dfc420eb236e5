"""The statistics' behaviour on a recording of this machine, by resampling it in blocks.

A recording is the rate of one server in consecutive short bins. A run is drawn from it as whole windows of the
recording, so that it has the machine's slow changes.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy.special import stdtrit

from bento_monitor.statistics import anytime_intervals

BIN_S = 0.25
BLOCK_S = 0.5
SHORT_S, LONG_S = 60.0, 300.0
_WINDOW_S = 60.0
_CONFIDENCE = 0.95

Runs = NDArray[np.float64]


@dataclass(frozen=True, slots=True)
class Behaviour:
    """Shares of the runs, and the spread of the log-ratio of equal arms in 60 s, interleaved and as whole halves."""

    false_alarm_rate: float
    power: float
    coverage_fixed: float
    coverage_stopped: float
    spread_interleaved: float
    spread_back_to_back: float


def behaviour_of(rates: NDArray[np.float64], runs: int, effect_ratio: float, seed: int) -> Behaviour:
    """Run the statistics many times on a recording.

    Args:
        rates: `(bins,)` of one server, each above 0.
        runs: number of runs to draw.
        effect_ratio: applied to one arm for power and coverage.
        seed: of the drawing.
    """
    generator = np.random.default_rng(seed)
    long = pair_log_ratios(draw(rates, runs, LONG_S, generator), generator)
    short = pair_log_ratios(series := draw(rates, runs, SHORT_S, generator), generator)
    effect = math.log(effect_ratio)
    is_found = np.array([np.any(low > 0) for low in anytime_intervals(short + effect)[0]])
    return Behaviour(
        false_alarm_rate=_false_alarm_rate(long),
        power=float(is_found.mean()),
        coverage_fixed=_coverage_fixed(short),
        coverage_stopped=min(_coverage_stopped(long, 0.0), _coverage_stopped(long, effect)),
        spread_interleaved=float(short.mean(axis=1).std()),
        spread_back_to_back=float(_halves_log_ratio(series).std()),
    )


def draw(rates: NDArray[np.float64], runs: int, seconds: float, generator: np.random.Generator) -> Runs:
    """Draw runs of whole windows of the recording, which is treated as a circle: `(runs, bins)`."""
    bins = round(_WINDOW_S / BIN_S)
    windows = round(seconds / _WINDOW_S)
    starts = generator.integers(0, len(rates), (runs, windows, 1))
    indices = (starts + np.arange(bins)) % len(rates)
    drawn: Runs = rates[indices].reshape(runs, windows * bins)
    return drawn


def pair_log_ratios(series: Runs, generator: np.random.Generator) -> Runs:
    """Return the log-ratios of neighbouring blocks, the arms in random order: `(runs, pairs)`."""
    size = round(BLOCK_S / BIN_S)
    pairs = series.shape[1] // (2 * size)
    blocks = series[:, : pairs * 2 * size].reshape(len(series), pairs, 2, size).mean(axis=3)
    order = generator.choice([-1.0, 1.0], (len(series), pairs))
    found: Runs = np.log(blocks[:, :, 0] / blocks[:, :, 1]) * order
    return found


def autocorrelation(rates: NDArray[np.float64], lag_s: float) -> float:
    """Return the autocorrelation of the log-rate at a lag."""
    lag = round(lag_s / BIN_S)
    values = np.log(rates)
    return float(np.corrcoef(values[:-lag], values[lag:])[0, 1])


def _false_alarm_rate(runs: Runs) -> float:
    low, high = anytime_intervals(runs)
    return float(((low > 0) | (high < 0)).any(axis=1).mean())


def _coverage_fixed(runs: Runs) -> float:
    n = runs.shape[1]
    half = float(stdtrit(n - 1, (1 + _CONFIDENCE) / 2)) * runs.std(axis=1, ddof=1) / math.sqrt(n)
    return float((abs(runs.mean(axis=1)) <= half).mean())


def _coverage_stopped(runs: Runs, effect: float) -> float:
    """Return the coverage of runs stopped at the first difference found, or at the end."""
    low, high = anytime_intervals(runs + effect)
    is_found = (low > 0) | (high < 0)
    stops = np.where(is_found.any(axis=1), is_found.argmax(axis=1), runs.shape[1] - 1)
    rows = np.arange(len(runs))
    return float(((low[rows, stops] <= effect) & (effect <= high[rows, stops])).mean())


def _halves_log_ratio(series: Runs) -> NDArray[np.float64]:
    middle = series.shape[1] // 2
    found: NDArray[np.float64] = np.log(series[:, :middle].mean(axis=1) / series[:, middle:].mean(axis=1))
    return found
