"""A recording of this machine, one server under a steady closed load, and the statistics' behaviour on it."""

from __future__ import annotations

import time
from dataclasses import asdict
from typing import Any

import numpy as np
from measuring.resample import BIN_S, BLOCK_S, autocorrelation, behaviour_of
from numpy.typing import NDArray
from result import Figure
from served.arms import OURS, start_arms

from bento_monitor.lab.loadgen import LoadResult, LoadSpec, start_load
from bento_monitor.statistics import smallest_ratio

_CONNECTIONS = 16
_WARM_UP_S = 10.0
_EFFECT_RATIO = 1.03
_SEED = 20
_PROGRESS_S = 60.0
_LAGS_S = (0.25, 0.5, 1.0, 5.0, 30.0, 60.0)
_MAX_FALSE_ALARMS, _MIN_POWER, _MIN_COVERAGE, _MAX_SPREAD = 0.05, 0.90, 0.95, 0.5
_COVERAGE_FIXED = (0.93, 0.97)


def record(minutes: float) -> list[float]:
    """Record the requests per second of a 1 ms model, in bins of 0.25 s."""
    with start_arms([OURS]) as arms:
        spec = LoadSpec(
            port=arms[OURS].port,
            path="/model_1ms",
            bodies=(b'{"x": 1}',),
            mode="closed",
            connections=_CONNECTIONS,
            warmup_s=_WARM_UP_S,
            duration_s=minutes * 60,
        )
        with start_load(spec) as load:
            started_s = time.monotonic()
            while load.is_running:
                time.sleep(min(_PROGRESS_S, minutes * 6))
                print(f"recording: {(time.monotonic() - started_s) / 60:.0f} of {minutes:g} minutes", flush=True)
            result = load.wait()
    if not (result.status == 200).all():
        raise RuntimeError(f"{(result.status != 200).sum()} requests failed: {dict(result.errors)}")
    return rates_of(result).tolist()


def rates_of(result: LoadResult) -> NDArray[np.float64]:
    """Return the responses per second in each bin of the window."""
    edges = np.arange(result.window_start_ns, result.window_end_ns + 1, round(BIN_S * 1e9))
    counts, _ = np.histogram(result.done_ns, edges)
    rates: NDArray[np.float64] = counts / BIN_S
    return rates


def judge(rates: list[float], runs: int) -> tuple[dict[str, Figure], dict[str, Any]]:
    """Return the figures of the statistics on a recording."""
    values = np.asarray(rates)
    if (values <= 0).any():
        raise RuntimeError("The server answered nothing in a whole bin of the recording: there is no ratio to compute.")
    found = behaviour_of(values, runs, _EFFECT_RATIO, _SEED)
    spread = found.spread_interleaved / found.spread_back_to_back
    low, high = _COVERAGE_FIXED
    sd = found.spread_interleaved * np.sqrt(60 / (2 * BLOCK_S))
    figures = {
        "false_alarm_rate": Figure(
            found.false_alarm_rate,
            "share",
            None,
            f"<= {_MAX_FALSE_ALARMS:g}",
            found.false_alarm_rate <= _MAX_FALSE_ALARMS,
        ),
        "power_3pct": Figure(found.power, "share", None, f">= {_MIN_POWER:g}", found.power >= _MIN_POWER),
        "ci_coverage_fixed": Figure(
            found.coverage_fixed, "share", None, f"{low:g} to {high:g}", low <= found.coverage_fixed <= high
        ),
        "ci_coverage_stopped": Figure(
            found.coverage_stopped, "share", None, f">= {_MIN_COVERAGE:g}", found.coverage_stopped >= _MIN_COVERAGE
        ),
        "ratio_spread_vs_back_to_back": Figure(spread, "ratio", None, f"<= {_MAX_SPREAD:g}", spread <= _MAX_SPREAD),
        "smallest_ratio_60s": Figure(smallest_ratio(float(sd), round(60 / (2 * BLOCK_S))), "ratio"),
    }
    correlations = {f"{lag:g} s": autocorrelation(values, lag) for lag in _LAGS_S}
    print("autocorrelation of the log-rate: " + ", ".join(f"{key} {value:.2f}" for key, value in correlations.items()))
    return figures, {"bin_s": BIN_S, "rates_rps": rates, "autocorrelation": correlations, "runs": runs, **asdict(found)}
