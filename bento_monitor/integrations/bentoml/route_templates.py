"""The route template of a path, such as `/v1/items/{item_id}`, also in mounted applications.

There are few templates, whatever paths clients request.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

# The limits of the cache of clients' paths: characters of a path, and paths.
_MAX_CACHED_CHARACTERS, _MAX_CACHED_PATHS = 128, 1024
_MAX_DEPTH = 8


class RouteTemplates:
    """Finds the template of a path among the routes that an application has when this is created."""

    def __init__(self, application: Any) -> None:
        """`application` is a Starlette application, or ASGI middlewares around one."""
        self._routes = list(_routes_of(application))
        self._exact = frozenset(route.path for route in self._routes if _is_plain(route))
        self._others = [route for route in self._routes if not _is_plain(route)]
        self._found: dict[tuple[str, str], str | None] = {}

    def of(self, path: str, method: str = "POST") -> str | None:
        """Return the template of a path; None if no route matches the path."""
        if path in self._exact:
            return path
        key = (path, method)
        if key in self._found:
            return self._found[key]
        scope = {"type": "http", "path": path, "root_path": "", "method": method, "headers": []}
        found = _template_in(self._others, scope, 0)
        if len(path) <= _MAX_CACHED_CHARACTERS:
            if len(self._found) >= _MAX_CACHED_PATHS:
                self._found.clear()
            self._found[key] = found
        return found


def _template_in(routes: Iterable[Any], scope: dict[str, Any], depth: int) -> str | None:
    """Return the template of the first route that matches path and method, else of the first that matches the path."""
    from starlette.routing import Match

    partial: str | None = None
    for route in routes:
        match, child = route.matches(scope)
        if match is Match.NONE:
            continue
        own = _own_template(route)
        inner = list(_routes_of(getattr(route, "app", None))) if _is_mount(route) and depth < _MAX_DEPTH else []
        found = _template_in(inner, {**scope, **child}, depth + 1) if inner else ""
        if found is None:  # the mounted application has no such route
            continue
        if match is Match.FULL:
            return (own + found) or "/"
        partial = partial or (own + found) or "/"
    return partial


def _own_template(route: Any) -> str:
    text = getattr(route, "path_format", None) or getattr(route, "path", "")
    # The path of a mount ends with `/{path}`, the part for the mounted application.
    return str(text).removesuffix("/{path}") if _is_mount(route) else str(text)


def _is_mount(route: Any) -> bool:
    from starlette.routing import Host, Mount

    return isinstance(route, Mount | Host)


def _is_plain(route: Any) -> bool:
    from starlette.routing import Route

    return isinstance(route, Route) and "{" not in route.path


def _routes_of(application: Any) -> Iterable[Any]:
    """Return the routes of an application, looking inside the middlewares around it."""
    for _ in range(_MAX_DEPTH):
        routes = getattr(application, "routes", None)
        if routes is not None:
            return list(routes)
        inner = getattr(application, "app", None)
        if inner is None:
            return []
        application = inner
    return []
