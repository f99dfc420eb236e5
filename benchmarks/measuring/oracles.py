"""Oracles of a queue with one server: each request's sojourn time, and closed forms that check the recursion."""

from __future__ import annotations

import math
from typing import Literal

import numpy as np
from numpy.typing import NDArray
from scipy.optimize import brentq

# In service times: the terms of Erlang's series alternate, and lose all precision by cancellation far beyond it.
_LONGEST = 20.0
Queue = Literal["mm1", "md1"]


def sojourns(arrivals: NDArray[np.float64], services: NDArray[np.float64]) -> NDArray[np.float64]:
    """Return the time from arrival to response of each request, served one at a time in order (Lindley, 1952).

    Args:
        arrivals: `(n,)` times, in order.
        services: `(n,)` service times.
    """
    # w[n + 1] = max(0, w[n] + s[n] - gap[n]): a walk held at 0, that is, the walk minus its lowest point so far.
    walk = np.concatenate([[0.0], np.cumsum(services[:-1] - np.diff(arrivals))])
    waits: NDArray[np.float64] = walk - np.minimum.accumulate(walk)
    return waits + services


def closed_form_quantile(queue: Queue, load: float, quantile: float) -> float:
    """Return a quantile of the sojourn time in an endless queue with Poisson arrivals, in mean service times.

    M/M/1: exponential with a mean of 1 / (1 - load). M/D/1: Erlang's series (1909).
    """
    if queue == "mm1":
        return -math.log(1 - quantile) / (1 - load)
    if quantile <= 1 - load:
        return 1.0  # the request does not wait
    return 1 + float(brentq(lambda time: _waits_at_most(time, load) - quantile, 0.0, _LONGEST))


def _waits_at_most(time: float, load: float) -> float:
    """Return the share of an M/D/1 queue's requests that wait at most `time` service times."""
    terms = [
        (load * (k - time)) ** k / math.factorial(k) * math.exp(-load * (k - time)) for k in range(math.floor(time) + 1)
    ]
    return (1 - load) * math.fsum(terms)
