"""Which hooks the installed BentoML and uvicorn support. A hook for an unsupported version is disabled."""

from __future__ import annotations

import inspect
from collections.abc import Callable, Collection
from dataclasses import dataclass
from functools import cache
from importlib import import_module
from typing import Any


@dataclass(frozen=True, slots=True)
class HookStatus:
    """One use of a private part of BentoML or uvicorn: whether it is enabled, and if not, why."""

    name: str
    is_enabled: bool
    reason: str


def _parameters(function: Callable[..., Any]) -> list[str]:
    return list(inspect.signature(function).parameters)


def _expect(name: str, seen: object, expected: object) -> None:
    if seen != expected:
        raise LookupError(f"{name} is {seen!r}, expected {expected!r}")


def _check_service_app() -> None:
    from _bentoml_impl.server.app import ServiceAppFactory
    from _bentoml_sdk.service import Service

    _expect("Service.to_asgi", _parameters(Service.to_asgi), ["self", "is_main"])
    _expect("ServiceAppFactory", _parameters(ServiceAppFactory.__init__)[:3], ["self", "service", "is_main"])
    _expect("ServiceAppFactory.middlewares", type(ServiceAppFactory.middlewares), property)


def _check_dispatcher() -> None:
    from _bentoml_impl.server.app import ServiceAppFactory
    from bentoml._internal.runner.container import AutoContainer

    expected = ["self", "name", "input_args", "input_kwargs"]
    _expect("batch_infer", _parameters(ServiceAppFactory.batch_infer), expected)
    joined, indices = AutoContainer.batches_to_batch([["a"], ["b", "c"]], 0)
    _expect("batches_to_batch", (joined, indices), (["a", "b", "c"], [0, 1, 3]))
    _expect("batch_to_batches", AutoContainer.batch_to_batches(joined, indices, 0), [["a"], ["b", "c"]])


def _check_threads() -> None:
    from _bentoml_impl.server.app import ServiceAppFactory

    _expect("_to_thread", _parameters(ServiceAppFactory._to_thread), ["self", "func", "args", "kwargs"])
    _expect("destroy_instance", _parameters(ServiceAppFactory.destroy_instance), ["self", "_"])


def _check_io_stamps() -> None:
    from _bentoml_sdk.io_models import IODescriptor

    _expect("from_http_request", _parameters(IODescriptor.from_http_request), ["request", "serde"])
    _expect("to_http_response", _parameters(IODescriptor.to_http_response), ["obj", "serde"])


def _check_request_id() -> None:
    from bentoml._internal.context import trace_context

    _expect("trace_context.request_id", isinstance(type(trace_context).request_id, property), True)


def _check_read_stamp() -> None:
    from uvicorn.protocols.http.auto import AutoHTTPProtocol

    protocol: Any = AutoHTTPProtocol
    _expect("data_received", _parameters(protocol.data_received), ["self", "data"])
    _expect("on_message_begin", _parameters(protocol.on_message_begin), ["self"])


def _check_head_limits() -> None:
    from uvicorn.protocols.http.auto import AutoHTTPProtocol

    protocol: Any = AutoHTTPProtocol
    _expect("connection_made", _parameters(protocol.connection_made), ["self", "transport"])
    _expect("connection_lost", _parameters(protocol.connection_lost), ["self", "exc"])
    _expect("data_received", _parameters(protocol.data_received), ["self", "data"])
    needed = {"transport", "connections", "cycle", "headers", "app", "ws_protocol_class"}
    _expect("the protocol's attributes", needed & set(protocol.__init__.__code__.co_names), needed)
    cycle = import_module(protocol.__module__).RequestResponseCycle
    needed = {"more_body", "response_complete"}
    _expect("the cycle's attributes", needed & set(cycle.__init__.__code__.co_names), needed)
    if hasattr(protocol, "on_headers_complete"):
        _expect("on_headers_complete", _parameters(protocol.on_headers_complete), ["self"])
        _expect("on_body", _parameters(protocol.on_body), ["self", "body"])
        _expect("on_chunk_header", hasattr(protocol, "on_chunk_header"), False)
        _expect("url", "url" in protocol.on_message_begin.__code__.co_names, True)


def _check_joined_writes() -> None:
    from uvicorn.protocols.http.auto import AutoHTTPProtocol

    protocol: Any = AutoHTTPProtocol
    _expect("connection_made", _parameters(protocol.connection_made), ["self", "transport"])
    needed = {"access_log", "access_logger"}
    _expect("the protocol's attributes", needed & set(protocol.__init__.__code__.co_names), needed)


def _unchanged(table: str) -> Callable[[], None]:
    """Return a check that every function in a table of `source_hashes` has a known source."""

    def check() -> None:
        from . import source_hashes as sources

        if names := sources.changed(getattr(sources, table)):
            raise LookupError(f"the source is changed or missing: {', '.join(names)}")

    return check


_CHECKS: dict[str, Callable[[], None]] = {
    "service_app": _check_service_app,
    "dispatcher": _check_dispatcher,
    "threads": _check_threads,
    "io_stamps": _check_io_stamps,
    "request_id": _check_request_id,
    "read_stamp": _check_read_stamp,
    "head_limits": _check_head_limits,
    "joined_writes": _check_joined_writes,
    "traffic": _unchanged("TRAFFIC"),
    "schema": _unchanged("SCHEMA"),
    "answers": _unchanged("ANSWERS"),
    "sessions": _unchanged("SESSIONS"),
    "client_calls": _unchanged("CLIENT_CALLS"),
    "tasks": _unchanged("TASKS"),
    "connections": _unchanged("CONNECTIONS"),
    "legacy_service": _unchanged("LEGACY_SERVICE"),
    "legacy_runner": _unchanged("LEGACY_RUNNER"),
    "legacy_runner_app": _unchanged("LEGACY_RUNNER_APP"),
}


def _status(name: str, check: Callable[[], None], hooks_off: Collection[str]) -> HookStatus:
    if name in hooks_off:
        return HookStatus(name, is_enabled=False, reason="disabled by BENTO_MONITOR_HOOKS_OFF")
    try:
        check()
    except Exception as error:  # a changed BentoML can fail in any way
        return HookStatus(name, is_enabled=False, reason=f"unsupported version: {error}")
    return HookStatus(name, is_enabled=True, reason="")


@cache
def check_hooks() -> tuple[HookStatus, ...]:
    """Check every hook against the installed versions, once per process, without patching anything.

    Hooks that a setting disables are not checked.
    """
    # Imported here: a worker imports this module before BentoML configures logging, which silences existing loggers.
    from ..settings import ALL_HOOKS, read_settings

    named = read_settings()[0].hooks_off
    hooks_off = _CHECKS if ALL_HOOKS in named else named
    return tuple(_status(name, check, hooks_off) for name, check in _CHECKS.items())


@cache
def is_supported(name: str) -> bool:
    """Whether the installed versions support the hook of this name, and no setting disables it."""
    return any(status.name == name and status.is_enabled for status in check_hooks())
