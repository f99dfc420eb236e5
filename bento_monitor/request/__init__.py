"""Handling around each request, on both paths: entry, limits, threads and records."""
