"""Rate limit of traces, and tail sampling."""
