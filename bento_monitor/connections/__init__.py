"""Sharing the connections of one listening socket evenly among the worker processes that accept from it."""
