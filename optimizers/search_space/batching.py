"""How requests are gathered: batch size and window."""

from __future__ import annotations

WINDOWS_MS: tuple[float, ...] = (0.0, 2.0, 5.0, 10.0, 20.0)


def batch_sizes(connections: int, largest: int) -> list[int]:
    """Powers of two from 4 up to what the load can fill, and never over `largest`, which the API's author allows."""
    limit = max(1, min(largest, 2 * connections))
    sizes = {size for size in (4, 8, 16, 32, 64, 128, 256) if size <= limit}
    return sorted(sizes | {limit} if limit == largest else sizes or {limit})
