"""Gathering requests into batches."""

from .dispatcher import BatchDispatcher

__all__ = ["BatchDispatcher"]
