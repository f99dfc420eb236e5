"""Comparing two arms while they are measured: numpy alone, so that a worker can do it."""

from .pairs import Pair, PairedRun, collect_pairs
from .sequential import SequentialComparison, Verdict, anytime_intervals, compare_so_far, smallest_ratio

__all__ = [
    "Pair",
    "PairedRun",
    "SequentialComparison",
    "Verdict",
    "anytime_intervals",
    "collect_pairs",
    "compare_so_far",
    "smallest_ratio",
]
