"""A load generator that does not lie: a process of its own, latency from the planned time, every failure counted."""

from .child import LoadHandle, run_load, start_load
from .load_spec import LoadSpec
from .result import LoadResult
from .summary import LoadSummary, summarize

__all__ = ["LoadHandle", "LoadResult", "LoadSpec", "LoadSummary", "run_load", "start_load", "summarize"]
