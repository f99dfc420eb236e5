"""Samples as arguments of an API's function: several in one call if the API is batchable, else one by one."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import TYPE_CHECKING, Any

from ...integrations.bentoml.services import ApiArguments, ServiceApi
from .messages import RequestSource
from .state import HostState

if TYPE_CHECKING:
    import numpy as np


def draw_batches(
    state: HostState, api: ServiceApi, source: RequestSource, sizes: Sequence[int], generator: np.random.Generator
) -> Iterator[tuple[ApiArguments, int]]:
    """Yield the arguments of one call with random samples, and their number, for each of `sizes`.

    No call has more samples than the API allows in a batch.

    Raises:
        ServiceError: BentoML refuses a sample, or samples cannot be put into one batch.
    """
    from ...integrations.bentoml.in_process import join_calls

    bodies = state.bodies(source)
    for size in sizes:
        count = min(size, api.max_batch_size, len(bodies)) if api.is_batchable else 1
        rows = generator.permutation(len(bodies))[:count]
        parsed = state.parse(api, [bodies[row] for row in rows], source.content_type)
        yield (join_calls(api, parsed)[0] if api.is_batchable else parsed[0]), count


def fresh(arguments: ApiArguments) -> ApiArguments:
    """Return a copy of the arguments, because a function may change its arrays and lists."""
    return ApiArguments(
        tuple(map(copy_of, arguments.args)), {name: copy_of(value) for name, value in arguments.kwargs.items()}
    )


def copy_of(value: Any) -> Any:
    """Return a copy of a tensor, an array, a data frame or a list; anything else unchanged."""
    if isinstance(value, list):
        return value.copy()
    if hasattr(value, "clone"):  # a tensor
        return value.clone()
    if hasattr(value, "dtype") or hasattr(value, "columns"):  # an array, or a data frame
        return value.copy()
    return value
