"""Wrapping a BentoML service in one line."""

from __future__ import annotations

import logging
from collections.abc import Callable
from typing import TYPE_CHECKING, Any, TypeVar

if TYPE_CHECKING:
    from .settings import MonitorSettings
    from .tracing.privacy.captured import InputCapture

ServiceT = TypeVar("ServiceT")
_LOGGER = logging.getLogger("bento_monitor")


def monitored(service: ServiceT) -> ServiceT:
    """Monitor a BentoML service: trace its requests, and let it activate releases while it serves.

    Returns the same object. Put the decorator above `@bentoml.service`, or call it with a `bentoml.legacy.Service`
    (which is traced, without releases). `BENTO_MONITOR_ENABLED=false` leaves the service unchanged.

    Examples:
        >>> import bentoml
        >>> @monitored
        ... @bentoml.service
        ... class Doubler:
        ...     @bentoml.api
        ...     def double(self, x: int) -> int:
        ...         return 2 * x
        >>> Doubler().double(4)
        8

    Raises:
        TypeError: the decorated object is not a BentoML service.
    """
    from .settings import load_settings
    from .telemetry_environment import remove_unusable_variables

    if not load_settings().enabled:
        return service
    remove_unusable_variables()
    from .bento_build import warn_if_not_listed
    from .integrations.bentoml.service_class import monitor_service
    from .integrations.bentoml_legacy.service import is_legacy

    if is_legacy(service):
        from .legacy import monitor_legacy_service

        monitor_legacy_service(service)
    else:
        monitor_service(service, _build)
    warn_if_not_listed(service)
    return service


def _build(service: Any, build_stock: Callable[[bool], Any], is_main: bool) -> Any:
    """Return the application to serve, wrapped in a probe while it is profiled."""
    from .settings import load_settings

    settings = load_settings()
    if settings.profile_stock:
        _stamp_stages(service)
        application = build_stock(is_main)
    else:
        application = _build_or_fall_back(service, build_stock, is_main)
    if settings.profile_folder is None:
        return application
    from .worker.probed import with_probe

    return with_probe(application, settings.profile_folder)


def _stamp_stages(service: Any) -> None:
    from .integrations import is_supported
    from .integrations.bentoml.io_stamps import stamp_descriptors

    if is_supported("io_stamps"):
        for method in service.apis.values():
            stamp_descriptors(method)


def _build_or_fall_back(service: Any, build_stock: Callable[[bool], Any], is_main: bool) -> Any:
    """Return the application inside `Entry`, or BentoML's own application if that fails."""
    try:
        return _build_monitored(service, build_stock, is_main)
    except Exception:  # a fault in bento-monitor must not stop the service
        _LOGGER.exception("The service cannot be monitored; it is served without bento-monitor.")
        return build_stock(is_main)


def _build_monitored(service: Any, build_stock: Callable[[bool], Any], is_main: bool) -> Any:
    from .batching import BatchHooks
    from .integrations import is_supported
    from .integrations.bentoml.api_paths import service_path_prefix
    from .integrations.bentoml.service_class import make_factory
    from .integrations.bentoml.services import apis_of
    from .integrations.worker_setup import install_server_hooks, log_disabled_hooks, request_id_hook
    from .request.entry import Entry
    from .request.limits import BodyLimits
    from .request.task_runs import TaskRuns
    from .settings import load_settings
    from .worker.monitor import WorkerMonitor

    settings = load_settings()
    has_endpoint = service.config.get("metrics", {}).get("enabled", True)
    worker = WorkerMonitor(service.name, settings, apis=service.apis, has_metrics_endpoint=has_endpoint)
    body_limits = BodyLimits(settings.max_body_bytes, settings.body_idle_timeout_s)
    batch_hooks = BatchHooks(worker.enter_batch, worker.batch_done)
    captures = _captures(service, settings, is_main=is_main)
    factory = make_factory(service, is_main, batch_hooks, body_limits, captures, TaskRuns(worker.telemetry))
    if factory is not None:
        worker.dispatchers = factory.batch_dispatchers
    application = build_stock(is_main) if factory is None else factory()
    log_disabled_hooks()
    install_server_hooks(settings, worker.loop_lag, worker.arrivals)
    if settings.spread_connections and is_supported("connections"):
        from .integrations.uvicorn.spreading_server import spread_connections

        spread_connections(service)
    entry = Entry(
        application,
        worker,
        {api.route: api.name for api in apis_of(service)},
        template_of=None if factory is None else factory.template_of,
        path_prefix=service_path_prefix(service),
        set_request_id=request_id_hook(),
        shortcut=_shortcut(factory, is_open=settings.fast_path),
    )
    if is_supported("client_calls"):
        from .integrations.bentoml.client_calls import route_own_calls

        route_own_calls(service.name, entry)
    return entry


def _captures(service: Any, settings: MonitorSettings, *, is_main: bool) -> dict[str, InputCapture]:
    """Return the inputs to capture, by API; in the entry service, warn of names that no service has as an input."""
    from .integrations.bentoml.services import inputs_of
    from .tracing.privacy.captured import choose_captures, unknown_fields

    names = settings.capture_fields
    if is_main and names:
        for name in unknown_fields(names, *map(inputs_of, service.all_services().values())):
            _LOGGER.warning("BENTO_MONITOR_CAPTURE_FIELDS: %s is not an input of this service: it is ignored.", name)
    return choose_captures(names, inputs_of(service), redacts=settings.capture_redaction) if names else {}


def _shortcut(factory: Any, *, is_open: bool) -> Any:
    from .request.entry import Shortcut

    if factory is None or factory.replaced is None:
        return None
    return Shortcut(
        traffic=factory.replaced.traffic,
        records=factory.replaced.records,
        open=factory.open_fast_path if is_open else None,
        direct=lambda: factory.direct_fast_path,
    )
