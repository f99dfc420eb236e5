"""Legacy services (`bentoml.legacy.Service`), whose class is replaced by one that builds a monitored application."""

from __future__ import annotations

import sys
from collections.abc import Callable
from typing import Any

from .runner import MonitoredRunnerMixin, watch_runner

Build = Callable[[Any, Callable[[], Any]], Any]


class MonitoredLegacyMixin:
    """Marks the classes that `give_legacy_application` makes."""

    __slots__ = ()


def is_legacy(service: object) -> bool:
    """Whether `service` is of the kind that BentoML had before 1.2."""
    module = sys.modules.get("bentoml._internal.service.service")  # None if it was never imported
    return module is not None and isinstance(service, module.Service)


def give_legacy_application(service: Any, build: Build) -> None:
    """Make a legacy service build its application by `build`, and record the calls of its runners; idempotent.

    `build` gets the service and a function that builds BentoML's own application.
    """
    from bentoml._internal.runner import Runner

    if not isinstance(service, MonitoredLegacyMixin):
        service.__class__ = _monitored_class(type(service), build)
    for runner in service.runners:
        if isinstance(runner, Runner) and not isinstance(runner, MonitoredRunnerMixin):
            watch_runner(runner)


def is_runner_process() -> bool:
    """Whether BentoML started this process for a runner."""
    from bentoml._internal.context import server_context

    return bool(server_context.service_type == "runner")


def legacy_routes(service: Any) -> dict[str, str]:
    """Return the name of each API by its path."""
    return {"/" + api.route.lstrip("/"): name for name, api in service.apis.items()}


def _monitored_class(own: Any, build: Build) -> type:
    def asgi_app(self: Any) -> Any:
        return build(self, lambda: own.asgi_app.fget(self))

    members = {"__slots__": (), "asgi_app": property(asgi_app)}
    return type(f"Monitored{own.__name__}", (MonitoredLegacyMixin, own), members)
