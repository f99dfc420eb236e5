"""Calls of a dependency, noted as client spans of the request that makes them."""

from __future__ import annotations

from typing import Any

from ..tracing.service_calls import noted_call


def note_calls() -> None:
    """Make the clients that this process makes from now on note their calls; once is enough."""
    from _bentoml_impl.client import proxy2

    if not hasattr(proxy2.AsyncClient, "notes_calls"):
        proxy2.AsyncClient = _noting(proxy2.AsyncClient)


def _noting(client: Any) -> Any:
    class NotingClient(client):  # type: ignore[misc]
        notes_calls = True

        async def _call(self, endpoint: Any, args: Any, kwargs: Any, *, headers: Any = None) -> Any:
            # A client of a plain URL knows no name; the URL may hold a user's.
            with noted_call(self.service.name if self.service is not None else "service", endpoint.name):
                return await client._call(self, endpoint, args, kwargs, headers=headers)

    return NotingClient
