"""Arms of a benchmark, measured in turn."""

from __future__ import annotations

from collections.abc import Callable, Mapping


def interleaved(arms: Mapping[str, Callable[[], float]], rounds: int) -> dict[str, list[float]]:
    """Return the rates of every arm, a block of each in turn, after a round that does not count.

    Every second round goes backwards, so that no arm always follows the same one.
    """
    rates: dict[str, list[float]] = {name: [] for name in arms}
    for index in range(rounds + 1):
        names = list(arms)
        for name in names if index % 2 else reversed(names):
            rate = arms[name]()
            if index:
                rates[name].append(rate)
    return rates
