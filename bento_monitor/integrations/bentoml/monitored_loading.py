"""A server that BentoML starts as usual, and whose processes monitor the service as soon as it is loaded.

BentoML gets everything as the user wrote it: the target in any form, the arguments, folders and environment mean what
they mean to `bentoml serve`.
"""

from __future__ import annotations

import runpy
from collections.abc import Callable
from pathlib import Path
from typing import Any

from ...errors import InputError, ServiceError
from .import_errors import error_text, explain_import_error

_SCRIPTS = "bento_monitor.serving.worker"
Load = Callable[..., Any]


def run_worker(script: str, monitor: Callable[[Any], Any]) -> None:
    """Run as a BentoML worker, in the process that BentoML started for it; `monitor` gets the loaded service."""

    def load_monitored(load: Load, *args: Any, **options: Any) -> Any:
        return monitor(load(*args, **options))

    _load_by(load_monitored)
    runpy.run_module(script, run_name="__main__", alter_sys=True)


def start_monitored_workers(check_address: Callable[[str, int], None], workers: int | None = None) -> None:
    """Make the server that this process starts use monitored workers, `workers` of them if given.

    In that server, any problem that prevents serving is reported as one error with its cause. `check_address` raises
    this error for a host and port that cannot be used.
    """
    import _bentoml_impl.server as server
    import _bentoml_impl.server.serving as serving
    import bentoml.serving as legacy

    serving._SERVICE_WORKER_SCRIPT = f"{_SCRIPTS}.service"
    legacy.SCRIPT_API_SERVER = f"{_SCRIPTS}.legacy_api"
    legacy.SCRIPT_RUNNER = f"{_SCRIPTS}.legacy_runner"

    def load_checked(load: Load, bento_identifier: Any = ".", *args: Any, **options: Any) -> Any:
        working_dir = Path(options.get("working_dir") or (args[0] if args else None) or ".")
        try:
            service = load(bento_identifier, *args, **options)
        except (Exception, SystemExit) as error:
            target = str(bento_identifier)
            is_folder = ":" not in target or Path(target).exists()
            fault = error_text(error) if is_folder else explain_import_error(target, error, working_dir)
            raise ServiceError(f"The service {bento_identifier} cannot be imported: {fault}.") from error
        if workers is not None and hasattr(service, "config"):
            service.config["workers"] = workers
        return service

    _load_by(load_checked)
    server.serve_http = _at_a_free_address(server.serve_http, check_address)
    legacy.serve_http_production = _at_a_free_address(legacy.serve_http_production, check_address)


def _load_by(load_by: Callable[..., Any]) -> None:
    """Make BentoML load services by `load_by`, whose first argument is BentoML's own loader."""
    import bentoml
    import bentoml._internal.service.loader as loader

    load = loader.load

    def load_service(*args: Any, **options: Any) -> Any:
        return load_by(load, *args, **options)

    loader.load = load_service
    bentoml.load = load_service


def _at_a_free_address(serve: Callable[..., Any], check_address: Callable[[str, int], None]) -> Callable[..., Any]:
    from bentoml._internal.configuration.containers import BentoMLContainer

    def serve_at_a_free_address(*args: Any, host: str | None = None, port: int | None = None, **options: Any) -> Any:
        chosen = host or BentoMLContainer.http.host.get(), port or BentoMLContainer.http.port.get()
        try:
            check_address(*chosen)
        except (TypeError, OverflowError, UnicodeError) as error:  # not a valid address
            raise InputError(f"{chosen[0]}:{chosen[1]} cannot be listened on ({error}).") from error
        return serve(*args, host=host, port=port, **options)

    return serve_at_a_free_address
