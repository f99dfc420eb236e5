"""The class of a monitored service, which differs from its own class only in how it builds its application."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import TYPE_CHECKING, Any

from ..hooks import is_supported

if TYPE_CHECKING:
    from ...batching import BatchHooks
    from ...request.limits import BodyLimits
    from ...request.task_runs import TaskRuns
    from ...tracing.privacy.captured import InputCapture

Build = Callable[[Any, Callable[[bool], Any], bool], Any]


class MonitoredMixin:
    """Marks the classes that `monitor_service` makes."""

    __slots__ = ()


def monitor_service(service: Any, build: Build) -> None:
    """Make a service and every service that it depends on build its application by `build`; idempotent.

    `build` gets the service, a function that builds BentoML's own application, and whether it is the entry service.

    Raises:
        TypeError: `service` is not a BentoML service.
    """
    from _bentoml_sdk.service import Service

    if not isinstance(service, Service):
        raise TypeError(
            f"monitored() takes a BentoML service, not {type(service).__name__}: put @monitored above @bentoml.service."
        )
    for member in service.all_services().values():
        if not isinstance(member, MonitoredMixin):
            member.__class__ = _monitored_class(type(member), build)


def make_factory(
    service: Any,
    is_main: bool,
    batch_hooks: BatchHooks,
    body_limits: BodyLimits | None = None,
    captures: Mapping[str, InputCapture] | None = None,
    task_runs: TaskRuns | None = None,
) -> Any | None:
    """Return BentoML's application factory with our hooks.

    None if the hook `service_app` is disabled, or if the service overrides `to_asgi`.
    """
    from _bentoml_sdk.service import Service

    own: Any = type(service).__mro__[2]
    if not is_supported("service_app") or own.to_asgi is not Service.to_asgi:
        return None
    # Imported here: BentoML's server must not be imported in the supervisor, where it would set up metrics.
    from .app_factory import MonitoredAppFactory

    service.inject_config()
    return MonitoredAppFactory(
        service,
        is_main=is_main,
        batch_hooks=batch_hooks,
        body_limits=body_limits,
        captures=captures,
        task_runs=task_runs,
    )


def _monitored_class(own: Any, build: Build) -> type:
    def to_asgi(self: Any, is_main: bool = True) -> Any:
        return build(self, lambda is_entry: own.to_asgi(self, is_main=is_entry), is_main)

    return type(f"Monitored{own.__name__}", (MonitoredMixin, own), {"__slots__": (), "to_asgi": to_asgi})
