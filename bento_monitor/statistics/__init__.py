"""Whether a difference is one: paired and sequential comparison, the bound of a drop or a percentile, the rig check."""

from .blocks import interleave
from .flips import flip_drop_bound
from .noninferiority import DropBound, samples_for, score_drop_bound
from .paired import Comparison, compare_paired, smallest_paired_ratio
from .pairs import Pair, PairedRun, collect_pairs
from .percentiles import PercentileBounds, bound_percentile, least_samples
from .resampled import resampled_drop_bound
from .rig_check import RigCheck, check_rig
from .sequential import SequentialComparison, Verdict, anytime_intervals, compare_so_far, smallest_ratio

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
    "flip_drop_bound",
    "interleave",
    "least_samples",
    "resampled_drop_bound",
    "samples_for",
    "score_drop_bound",
    "smallest_paired_ratio",
    "smallest_ratio",
]
