"""How many rows a value of a batch has, as BentoML counts them."""

from __future__ import annotations

from typing import Any

from bentoml._internal.runner.container import AutoContainer


def rows_of(value: Any, batch_dim: int) -> int:
    """The rows of one request's value, or of its answer; of a data frame, BentoML 1.4 gives the whole shape."""
    size: int | tuple[int, ...] = AutoContainer.get_batch_size(value, batch_dim)
    return size[batch_dim] if isinstance(size, tuple) else size
