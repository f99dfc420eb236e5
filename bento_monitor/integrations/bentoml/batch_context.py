"""The `ctx` of a batch function: one context for all requests of a batch, whose response is copied to each of them.

The function can get only one `ctx`. So requests share a batch only if the function would see the same in each of them,
and each request gets the status, headers, cookies and background tasks that it would have got alone.
"""

from __future__ import annotations

from collections.abc import Hashable, Iterator
from contextlib import contextmanager
from contextvars import Context
from typing import Any

from bentoml._internal.context import _request_var, _response_var
from bentoml._internal.runner.container import AutoContainer
from opentelemetry import context as otel_context
from starlette.background import BackgroundTasks

from ...tracing.context.current_api import untraced_api
from ...tracing.ledger.ledger import current_ledger

# These headers differ for each request, but only tracing and the body's parser read them, not the function.
_LEFT_OUT = frozenset({b"content-length", b"traceparent", b"tracestate"})


def batch_key_of_request() -> Hashable:
    """Return the batch key of the current request: its query, its headers and the client's address."""
    scope = _request_var.get().scope
    client = scope.get("client")
    headers = tuple((name, value) for name, value in scope["headers"] if name not in _LEFT_OUT)
    return scope.get("query_string"), None if client is None else client[0], headers


def share_response(first: Context, other: Context) -> None:
    """Copy what was set on the `ctx.response` of one context to that of another."""
    source: Any = first[_response_var]
    target: Any = other[_response_var]
    if getattr(source, "is_touched", True):
        target.status_code = source.status_code
        target.metadata = source.metadata
        target.cookies = source.cookies
        target.background = BackgroundTasks(list(source.background.tasks))


@contextmanager
def away_from_request(api: str) -> Iterator[None]:
    """Leave the context of the current request, for a call of BentoML's own dispatcher.

    The dispatcher's task keeps the context of the first request; all later batches would count as that request's.
    """
    span = otel_context.attach(otel_context.Context())
    tokens = untraced_api.set(api), current_ledger.set(None)
    try:
        yield
    finally:
        current_ledger.reset(tokens[1])
        untraced_api.reset(tokens[0])
        otel_context.detach(span)


def writes_files(method: Any) -> bool:
    """Whether an API answers with files: these may lie in a request's folder, released when the request ends."""
    return bool(method.output_spec.model_json_schema().get("type") == "file")


def count_rows(value: Any, batch_dim: int) -> int:
    """Return the number of rows of a request's value or answer.

    For a data frame, BentoML 1.4 returns the whole shape.
    """
    size: int | tuple[int, ...] = AutoContainer.get_batch_size(value, batch_dim)
    return size[batch_dim] if isinstance(size, tuple) else size
