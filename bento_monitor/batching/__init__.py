"""Batching of requests."""

from .dispatcher import BatchDispatcher, BatchHooks
from .isolation import isolate_failures, isolates_failures

__all__ = ["BatchDispatcher", "BatchHooks", "isolate_failures", "isolates_failures"]
