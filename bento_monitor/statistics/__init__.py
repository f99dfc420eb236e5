"""Sequential comparison of two arms during a measurement. Importing it needs only numpy, so a worker can use it."""

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
