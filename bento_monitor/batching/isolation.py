"""The decorator that isolates failures: one faulty request does not fail the other requests of its batch."""

from __future__ import annotations

from typing import Any, TypeVar

ApiT = TypeVar("ApiT")
_MARK = "__bento_monitor_isolate_failures__"


def isolate_failures(api: ApiT) -> ApiT:
    """Run a batch that fails again in halves, so that only the faulty request fails.

    Put the decorator above or below `@bentoml.api(batchable=True)`. Without it, an error fails all requests of the
    batch, as in BentoML. The function may be called several times for one request, so it must be safe to repeat.

    Examples:
        >>> import bentoml
        >>> @bentoml.service
        ... class Reciprocals:
        ...     @isolate_failures
        ...     @bentoml.api(batchable=True)
        ...     def reciprocals(self, numbers: list[float]) -> list[float]:
        ...         return [1 / number for number in numbers]  # a zero fails its own request, not the batch
        >>> Reciprocals().reciprocals([2.0, 4.0])
        [0.5, 0.25]

    Raises:
        TypeError: the API is not batchable.
    """
    if getattr(api, "batchable", True) is False:
        raise TypeError("isolate_failures needs an API with batchable=True: other APIs have no batches.")
    setattr(getattr(api, "func", api), _MARK, True)
    return api


def isolates_failures(function: Any) -> bool:
    """Whether the function of an API has the decorator `isolate_failures`."""
    return bool(getattr(function, _MARK, False))
