"""The URL paths of a service's APIs; a service can have a path prefix since BentoML 1.4.31."""

from __future__ import annotations

from typing import Any


def service_path_prefix(service: Any) -> str:
    """Return the path prefix of a service, such as `/prefix`; empty if it has none."""
    prefix = (getattr(service, "path_prefix", None) or "").strip("/")
    return f"/{prefix}" if prefix else ""


def api_path(service: Any, method: Any) -> str:
    """Return the path of an API of a service."""
    return f"{service_path_prefix(service)}/{method.route.lstrip('/')}"
