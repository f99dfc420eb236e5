"""Monitoring of legacy BentoML (before 1.2): services, runners and runner processes."""

from __future__ import annotations

import logging
from collections.abc import Callable, Mapping
from typing import TYPE_CHECKING, Any, TypeVar

from .settings import MonitorSettings, load_settings

if TYPE_CHECKING:
    from .batching import BatchHooks
    from .worker.monitor import WorkerMonitor

RunnerT = TypeVar("RunnerT")
_LOGGER = logging.getLogger("bento_monitor")


def monitored_runner(runner: RunnerT) -> RunnerT:
    """Record each call of a legacy `bentoml.Runner` as a child span of its request, and return the same runner.

    `monitored()` does this for the runners of a legacy service. A current service that calls a runner with
    `init_local()` needs this function.

    Examples:
        >>> import bentoml
        >>> class Doubler(bentoml.legacy.Runnable):
        ...     SUPPORTED_RESOURCES = ("cpu",)
        ...     SUPPORTS_CPU_MULTI_THREADING = True
        ...
        ...     @bentoml.legacy.Runnable.method(batchable=False)
        ...     def double(self, x: int) -> int:
        ...         return 2 * x
        >>> runner = monitored_runner(bentoml.legacy.Runner(Doubler, name="doubler"))
        >>> runner.init_local(quiet=True)
        >>> runner.double.run(4)
        8

    Raises:
        TypeError: `runner` is not a BentoML runner.
    """
    if load_settings().enabled:
        from .integrations.bentoml_legacy.runner import watch_runner

        watch_runner(runner)
    return runner


def monitor_legacy_service(service: Any) -> None:
    """Monitor a legacy service; in a runner process, also monitor that runner."""
    from .integrations.bentoml_legacy.service import give_legacy_application, is_runner_process

    give_legacy_application(service, _build)
    if is_runner_process():
        from .integrations.bentoml_legacy.runner_app import wrap_runner_app

        wrap_runner_app(_open_runner_process)


def _build(service: Any, build_stock: Callable[[], Any]) -> Any:
    """Return the service's application inside `Entry`, or BentoML's own application if that fails."""
    try:
        return _build_monitored(service, build_stock)
    except Exception:  # a fault in bento-monitor must not stop the service
        _LOGGER.exception("The service cannot be monitored; it is served without bento-monitor.")
        return build_stock()


def _build_monitored(service: Any, build_stock: Callable[[], Any]) -> Any:
    from .integrations import is_supported
    from .integrations.bentoml_legacy.service import legacy_routes
    from .integrations.worker_setup import install_server_hooks, log_disabled_hooks
    from .worker.monitor import WorkerMonitor

    settings = load_settings()
    worker = WorkerMonitor(service.name, settings)
    if is_supported("legacy_service"):
        from .integrations.bentoml_legacy.app import LegacyAppFactory, pass_context_on

        pass_context_on()
        application = LegacyAppFactory(service)()
    else:
        application = build_stock()
    log_disabled_hooks()
    install_server_hooks(settings, worker.loop_lag, worker.arrivals)
    return _enter(application, worker, legacy_routes(service))


def _enter(application: Any, worker: WorkerMonitor, routes: Mapping[str, str]) -> Any:
    from .integrations.worker_setup import request_id_hook
    from .request.entry import Entry

    return Entry(application, worker, routes, set_request_id=request_id_hook())


class _RunnerProcess:
    """The process of one legacy runner."""

    def __init__(self, runner: str, settings: MonitorSettings) -> None:
        from .batching import BatchHooks
        from .worker.monitor import WorkerMonitor

        self._worker = WorkerMonitor(runner, settings)
        self.batch_hooks: BatchHooks = BatchHooks(self._worker.enter_batch, self._worker.batch_done)

    def enter(self, application: Any, routes: Mapping[str, str]) -> Any:
        """Return the runner's application inside `Entry`."""
        return _enter(application, self._worker, routes)


def _open_runner_process(runner: str) -> _RunnerProcess | None:
    try:
        return _RunnerProcess(runner, load_settings())
    except Exception:
        _LOGGER.exception("The runner %s cannot be monitored; it is served without bento-monitor.", runner)
        return None
