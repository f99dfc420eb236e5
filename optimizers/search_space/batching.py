"""How requests are batched: batch size and window."""

from __future__ import annotations

WINDOWS_MS: tuple[float, ...] = (0.0, 2.0, 5.0, 10.0, 20.0)


def batch_sizes(connections: int, largest: int) -> list[int]:
    """Return powers of two from 4 up to twice the connections, at most `largest`, the limit set by the API's author."""
    limit = max(1, min(largest, 2 * connections))
    sizes = {size for size in (4, 8, 16, 32, 64, 128, 256) if size <= limit}
    return sorted(sizes | {limit} if limit == largest else sizes or {limit})
