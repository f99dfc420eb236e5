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
    """Monitor a BentoML service: the same object, traced, and able to take a release over while it serves.

    Put it above `@bentoml.service`, or around a `bentoml.legacy.Service` (without releases). With
    `BENTO_MONITOR_ENABLED=false` the service is left as it is.

    Raises:
        TypeError: what is decorated is no BentoML service.
    """
    from .settings import load_settings
    from .telemetry_environment import drop_unusable

    if not load_settings().enabled:
        return service
    drop_unusable()
    from .bento_build import warn_where_left_out
    from .integrations.bentoml.service_class import give_application
    from .integrations.bentoml_legacy.service import is_legacy

    if is_legacy(service):
        from .legacy import monitor_legacy_service

        monitor_legacy_service(service)
    else:
        give_application(service, _build)
    warn_where_left_out(service)
    return service


def _build(service: Any, build_stock: Callable[[bool], Any], is_main: bool) -> Any:
    """The service's application as it is served, watched where it is profiled."""
    from .settings import load_settings

    settings = load_settings()
    if settings.profile_stock:
        _stamp_stages(service)
        application = build_stock(is_main)
    else:
        application = _build_or_fall_back(service, build_stock, is_main)
    if settings.profile_folder is None:
        return application
    from .worker.observed import observed

    return observed(application, settings.profile_folder)


def _stamp_stages(service: Any) -> None:
    from .integrations import is_supported
    from .integrations.bentoml.io_stamps import stamp_descriptors

    if is_supported("io_stamps"):
        for method in service.apis.values():
            stamp_descriptors(method)


def _build_or_fall_back(service: Any, build_stock: Callable[[bool], Any], is_main: bool) -> Any:
    """The application inside our entry, or as BentoML builds it where that fails."""
    try:
        return _build_monitored(service, build_stock, is_main)
    except Exception:  # our failure is not the service's
        _LOGGER.exception("The service cannot be monitored; it is served as BentoML would.")
        return build_stock(is_main)


def _build_monitored(service: Any, build_stock: Callable[[bool], Any], is_main: bool) -> Any:
    from .batching import BatchHooks
    from .integrations import is_supported
    from .integrations.bentoml.api_paths import prefix_of
    from .integrations.bentoml.service_class import make_factory
    from .integrations.bentoml.services import apis_of
    from .integrations.worker_setup import log_disabled_hooks, ready_server, request_id_hook
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
    ready_server(settings, worker.loop_lag, worker.arrivals)
    if settings.spread_connections and is_supported("connections"):
        from .integrations.uvicorn.spreading_server import spread_connections

        spread_connections(service)
    entry = Entry(
        application,
        worker,
        {api.route: api.name for api in apis_of(service)},
        template_of=None if factory is None else factory.template_of,
        path_prefix=prefix_of(service),
        set_request_id=request_id_hook(),
        shortcut=_shortcut(factory, is_open=settings.fast_path),
    )
    if is_supported("client_calls"):
        from .integrations.bentoml.client_calls import take_own_calls

        take_own_calls(service.name, entry)
    return entry


def _captures(service: Any, settings: MonitorSettings, *, is_main: bool) -> dict[str, InputCapture]:
    """What is captured of the service's inputs; the entry service says which names are in none of them."""
    from .integrations.bentoml.services import inputs_of
    from .tracing.privacy.captured import choose_captures, unknown_fields

    names = settings.capture_fields
    if is_main and names:
        for name in unknown_fields(names, *map(inputs_of, service.all_services().values())):
            _LOGGER.warning("BENTO_MONITOR_CAPTURE_FIELDS: %s is no input of this service: it is left out.", name)
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
