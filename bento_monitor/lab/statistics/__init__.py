"""Whether a difference is real: paired comparison, bounds on a drop or a percentile, and the rig check."""

from .blocks import interleave
from .flips import flip_drop_bound
from .noninferiority import DropBound, samples_for, score_drop_bound
from .paired import Comparison, compare_paired, smallest_paired_ratio
from .percentiles import PercentileBounds, bound_percentile, min_samples
from .resampled import resampled_drop_bound
from .rig_check import RigCheck, RigError, check_rig

__all__ = [
    "Comparison",
    "DropBound",
    "PercentileBounds",
    "RigCheck",
    "RigError",
    "bound_percentile",
    "check_rig",
    "compare_paired",
    "flip_drop_bound",
    "interleave",
    "min_samples",
    "resampled_drop_bound",
    "samples_for",
    "score_drop_bound",
    "smallest_paired_ratio",
]
