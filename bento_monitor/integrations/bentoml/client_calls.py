"""Calls of a dependency, recorded as client spans of the calling request, and calls of the service itself.

A service calls its own APIs by `self.to_async` and `self.to_sync`, which pass the request to its application in this
process. The application lies below our entry, so the call would be stamped on the caller's request. The call is
therefore sent through the entry again, as a request of its own.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from typing import Any

from ...tracing.context.current_api import NO_API, calling_api, current_api
from ...tracing.context.service_calls import noted_call
from ...tracing.ledger.ledger import current_batch, traced_work

Application = Callable[[Any, Any, Any], Awaitable[None]]

# The entry of each service, by the name of the service.
_entries: dict[str, Application] = {}


def route_own_calls(service: str, entry: Application) -> None:
    """Send a service's calls of itself through its entry."""
    _entries[service] = entry


def route_calls(*, notes: bool) -> None:
    """Make this process's clients route a service's calls of itself, and record all calls if `notes`; idempotent."""
    from _bentoml_impl.client import proxy2

    if not hasattr(proxy2.AsyncClient, "routes_calls"):
        proxy2.AsyncClient = _routing(proxy2.AsyncClient)
    if notes and not hasattr(proxy2.AsyncClient, "notes_calls"):
        proxy2.AsyncClient = _noting(proxy2.AsyncClient)


def _routing(client: Any) -> Any:
    class RoutingClient(client):  # type: ignore[misc]
        routes_calls = True

        def __init__(self, url: str, *, service: Any = None, app: Any = None, **options: Any) -> None:
            if app is not None and service is not None:
                app = _through_entry(app, service.name)
            super().__init__(url, service=service, app=app, **options)

    return RoutingClient


def _through_entry(application: Application, service: str) -> Application:
    async def serve(scope: Any, receive: Any, send: Any) -> None:
        """Serve one call; it runs in its own task, so the context variables set here are those of this request."""
        entry = _entries.get(service)
        if entry is None:
            await application(scope, receive, send)
        else:
            api = current_api(traced_work())
            calling_api.set(NO_API if api is None else api)
            current_batch.set(None)  # it was the caller's batch
            await entry(scope, receive, send)

    return serve


def _noting(client: Any) -> Any:
    class NotingClient(client):  # type: ignore[misc]
        notes_calls = True

        async def _call(self, endpoint: Any, args: Any, kwargs: Any, *, headers: Any = None) -> Any:
            # A client of a plain URL knows no service name, and the URL may contain a user's name.
            with noted_call(self.service.name if self.service is not None else "service", endpoint.name):
                return await client._call(self, endpoint, args, kwargs, headers=headers)

    return NotingClient
