"""Whether a difference is one: paired comparison, the bound of a drop, the order of blocks."""

from .blocks import interleave
from .noninferiority import DropBound, drop_upper_bound
from .paired import Comparison, compare_paired

__all__ = ["Comparison", "DropBound", "compare_paired", "drop_upper_bound", "interleave"]
