"""The template of the route that a path takes, as `/v1/items/{item_id}`, through mounted applications: few, whatever
clients ask for.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

# A client's path is kept no longer, nor more of them, than this.
_LONGEST_KEPT, _MOST_KEPT = 128, 1024
_DEEPEST = 8


class RouteTemplates:
    """Finds templates in the routes of an application, which may be given after it was asked for none."""

    def __init__(self, application: Any) -> None:
        """`application` is Starlette's, or ASGI middlewares around it."""
        self._routes = list(_routes_of(application))
        self._exact = frozenset(route.path for route in self._routes if _is_plain(route))
        self._others = [route for route in self._routes if not _is_plain(route)]
        self._found: dict[tuple[str, str], str | None] = {}

    def of(self, path: str, method: str = "POST") -> str | None:
        """The template; None where no route takes the path."""
        if path in self._exact:
            return path
        key = (path, method)
        if key in self._found:
            return self._found[key]
        scope = {"type": "http", "path": path, "root_path": "", "method": method, "headers": []}
        found = _template_in(self._others, scope, 0)
        if len(path) <= _LONGEST_KEPT:
            if len(self._found) >= _MOST_KEPT:
                self._found.clear()
            self._found[key] = found
        return found


def _template_in(routes: Iterable[Any], scope: dict[str, Any], depth: int) -> str | None:
    """Of the first route that takes the path and method, else of the first that takes the path with another method."""
    from starlette.routing import Match

    partial: str | None = None
    for route in routes:
        match, child = route.matches(scope)
        if match is Match.NONE:
            continue
        own = _own_template(route)
        inner = list(_routes_of(getattr(route, "app", None))) if _is_mount(route) and depth < _DEEPEST else []
        found = _template_in(inner, {**scope, **child}, depth + 1) if inner else ""
        if found is None:  # the mounted application has no such route
            continue
        if match is Match.FULL:
            return (own + found) or "/"
        partial = partial or (own + found) or "/"
    return partial


def _own_template(route: Any) -> str:
    text = getattr(route, "path_format", None) or getattr(route, "path", "")
    # A mount's ends with what is left for the application in it.
    return str(text).removesuffix("/{path}") if _is_mount(route) else str(text)


def _is_mount(route: Any) -> bool:
    from starlette.routing import Host, Mount

    return isinstance(route, Mount | Host)


def _is_plain(route: Any) -> bool:
    from starlette.routing import Route

    return isinstance(route, Route) and "{" not in route.path


def _routes_of(application: Any) -> Iterable[Any]:
    """The routes of an application, inside whatever middlewares are around it."""
    for _ in range(_DEEPEST):
        routes = getattr(application, "routes", None)
        if routes is not None:
            return list(routes)
        inner = getattr(application, "app", None)
        if inner is None:
            return []
        application = inner
    return []
