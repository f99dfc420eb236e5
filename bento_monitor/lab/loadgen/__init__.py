"""A load generator in its own process, which measures latency from the planned time and counts every failure."""

from .child import LoadHandle, run_load, start_load
from .load_spec import LoadSpec
from .result import LoadResult
from .summary import LoadSummary, summarize

__all__ = ["LoadHandle", "LoadResult", "LoadSpec", "LoadSummary", "run_load", "start_load", "summarize"]
