"""Arms of a benchmark, measured in turn."""

from __future__ import annotations

from collections.abc import Callable, Mapping

from bento_monitor.lab.statistics.blocks import interleave


def interleaved(arms: Mapping[str, Callable[[], float]], rounds: int) -> dict[str, list[float]]:
    """Return the rates of every arm, a block of each in turn, after a round that does not count."""
    rates: dict[str, list[float]] = {name: [] for name in arms}
    for order in interleave(list(arms), rounds + 1, seed=0):
        for name in order:
            rates[name].append(arms[name]())
    return {name: measured[1:] for name, measured in rates.items()}
