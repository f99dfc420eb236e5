"""Latency percentiles of a load, with their bounds."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from ...errors import MeasurementError
from ..loadgen import LoadResult
from ..statistics import bound_percentile, min_samples
from .profile_record import Percentile

PERCENTILES = (50.0, 95.0, 99.0)


def latencies_of(result: LoadResult) -> tuple[Percentile, ...]:
    """Return the latency percentiles of the requests in the window that were answered with 2xx.

    A percentile of too few requests has no bounds and says little.

    Raises:
        MeasurementError: no request was answered with 2xx.
    """
    latency_ms = result.latency_ns[result.is_in_window & result.is_ok] / 1e6
    if not len(latency_ms):
        raise MeasurementError(
            "No request was answered with 2xx, so there is no latency: check the request body and the service's log."
        )
    return tuple(_bounded(latency_ms, percentile) for percentile in PERCENTILES)


def _bounded(latency_ms: NDArray[np.float64], percentile: float) -> Percentile:
    needs = min_samples(percentile)
    if len(latency_ms) < needs:
        value_ms = float(np.percentile(latency_ms, percentile, method="inverted_cdf"))
        return Percentile(percentile, value_ms, None, None, needs)
    bounds = bound_percentile(latency_ms, percentile)
    return Percentile(percentile, bounds.value, bounds.low, bounds.high, needs)
