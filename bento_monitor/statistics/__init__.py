"""Whether a difference is one: paired and sequential comparison, the bound of a drop or a percentile, the rig check."""

from .blocks import interleave
from .flips import flip_drop_bound
from .noninferiority import DropBound, drop_upper_bound, samples_for, score_drop_bound
from .paired import Comparison, compare_paired
from .pairs import Pair, PairedRun, collect_pairs
from .percentiles import PercentileBounds, bound_percentile, least_samples
from .resampled import resampled_drop_bound
from .rig_check import RigCheck, check_rig, smallest_ratio
from .sequential import SequentialComparison, Verdict, anytime_intervals, compare_so_far

__all__ = [
    "Comparison",
    "DropBound",
    "Pair",
    "PairedRun",
    "PercentileBounds",
    "RigCheck",
    "SequentialComparison",
    "Verdict",
    "anytime_intervals",
    "bound_percentile",
    "check_rig",
    "collect_pairs",
    "compare_paired",
    "compare_so_far",
    "drop_upper_bound",
    "flip_drop_bound",
    "interleave",
    "least_samples",
    "resampled_drop_bound",
    "samples_for",
    "score_drop_bound",
    "smallest_ratio",
]
