"""How requests are gathered: batch size and window."""

from __future__ import annotations

WINDOWS_MS: tuple[float, ...] = (0.0, 2.0, 5.0, 10.0, 20.0)


def batch_sizes(connections: int, largest: int) -> list[int]:
    """Powers of two from 4 up to what the load can fill, and never over what the API allows."""
    limit = max(2, min(largest, 2 * connections))
    sizes = [size for size in (4, 8, 16, 32, 64, 128, 256) if size <= limit]
    return sizes or [limit]
