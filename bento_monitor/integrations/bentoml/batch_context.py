"""What `ctx` is to the function of a batch: one for requests that are alike, and what it sets is set for each of them.

The function can be given only one. So requests share a batch where it would see the same in each of them, and each gets
the status, headers, cookies and background tasks that it would have got alone.
"""

from __future__ import annotations

from collections.abc import Hashable
from contextvars import Context
from typing import Any

from bentoml._internal.context import _request_var, _response_var
from bentoml._internal.runner.container import AutoContainer
from starlette.background import BackgroundTasks

# Of each request its own, and read by what is around the function: tracing, and the parser that gave it its argument.
_LEFT_OUT = frozenset({b"content-length", b"traceparent", b"tracestate"})


def batch_key_of_request() -> Hashable:
    """What the function could see of the request that is being served: its query, its headers and who sent it."""
    scope = _request_var.get().scope
    client = scope.get("client")
    headers = tuple((name, value) for name, value in scope["headers"] if name not in _LEFT_OUT)
    return scope.get("query_string"), None if client is None else client[0], headers


def share_response(first: Context, other: Context) -> None:
    """Give what was set on the `ctx.response` of one context to that of another."""
    source: Any = first[_response_var]
    target: Any = other[_response_var]
    if getattr(source, "is_touched", True):
        target.status_code = source.status_code
        target.metadata = source.metadata
        target.cookies = source.cookies
        target.background = BackgroundTasks(list(source.background.tasks))


def writes_files(method: Any) -> bool:
    """Whether an API answers with files: they may lie in the folder of one request, which ends with that."""
    return bool(method.output_spec.model_json_schema().get("type") == "file")


def rows_of(value: Any, batch_dim: int) -> int:
    """The rows of one request's value, or of its answer; of a data frame, BentoML 1.4 gives the whole shape."""
    size: int | tuple[int, ...] = AutoContainer.get_batch_size(value, batch_dim)
    return size[batch_dim] if isinstance(size, tuple) else size
