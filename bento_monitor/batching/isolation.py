"""How an API asks that one request of a batch cannot fail the others."""

from __future__ import annotations

from typing import Any, TypeVar

ApiT = TypeVar("ApiT")
_MARK = "__bento_monitor_isolate_failures__"


def isolate_failures(api: ApiT) -> ApiT:
    """Have a batch that fails run again in halves, so that the request at fault fails alone.

    Put it above or below `@bentoml.api(batchable=True)`. Without it a batch that raises fails whole, as in BentoML.
    The function may be called several times for one request: it must bear that.

    Raises:
        TypeError: the API is not batchable.
    """
    if getattr(api, "batchable", True) is False:
        raise TypeError("isolate_failures is for an API with batchable=True: no other has batches.")
    setattr(getattr(api, "func", api), _MARK, True)
    return api


def isolates_failures(function: Any) -> bool:
    """Whether the function of an API was marked."""
    return bool(getattr(function, _MARK, False))
