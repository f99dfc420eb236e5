"""Traces: from the timestamps of a request to exported spans."""
