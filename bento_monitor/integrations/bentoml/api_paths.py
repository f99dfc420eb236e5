"""The paths of a service's APIs, as BentoML's own application has them; services have a prefix since BentoML 1.4.31."""

from __future__ import annotations

from typing import Any


def prefix_of(service: Any) -> str:
    """What all paths of a service begin with, with a slash before it and none behind; empty where there is none."""
    prefix = (getattr(service, "path_prefix", None) or "").strip("/")
    return f"/{prefix}" if prefix else ""


def path_of(service: Any, method: Any) -> str:
    """The path of an API of a service."""
    return f"{prefix_of(service)}/{method.route.lstrip('/')}"
