"""The faults' service with some of the monitor's functions broken, which `FAULT_HOOK` names."""

from __future__ import annotations

import os
import sys
from importlib import import_module
from typing import NoReturn

from fault_service import Faulted

__all__ = ["HOOKS", "Faulted"]

# Our functions on a request's path, or in a worker's life: module, class or "", function.
HOOKS = {
    "start_ledger": ("bento_monitor.tracing.telemetry", "Telemetry", "start_ledger"),
    "enter_request": ("bento_monitor.tracing.telemetry", "Telemetry", "enter_request"),
    "finish": ("bento_monitor.tracing.telemetry", "Telemetry", "finish"),
    "enter_batch": ("bento_monitor.tracing.telemetry", "Telemetry", "enter_batch"),
    "finish_batch": ("bento_monitor.tracing.telemetry", "Telemetry", "finish_batch"),
    "adopt_provider": ("bento_monitor.tracing.telemetry", "Telemetry", "adopt_user_provider"),
    "request_id": ("bento_monitor.integrations.bentoml.app_factory", "", "set_request_id"),
    "build_spans": ("bento_monitor.tracing.export.span_builder", "SpanBuilder", "request"),
    "export": ("bento_monitor.tracing.store.writer", "StoreSpanExporter", "export"),
    "report": ("bento_monitor.tracing.export.delivery_report", "DeliveryReportWriter", "_write"),
    "metrics": ("bento_monitor.integrations.bentoml.series", "BentoSeries", "write"),
    "access_log": ("bento_monitor.integrations.bentoml.log_lines", "PlainAccessLog", "write"),
    "note_for_log": ("bento_monitor.integrations.bentoml.log_lines", "PlainAccessLog", "note"),
    "freeze": ("bento_monitor.worker.gc_tuning", "HeapTuner", "freeze"),
    "memory_watch": ("bento_monitor.worker.gc_tuning", "HeapTuner", "_has_grown"),
    "turn": ("bento_monitor.connections.turn", "Turn", "how_many"),
    "connection_counts": ("bento_monitor.connections.counts", "ConnectionCounts", "publish"),
    "connection_slot": ("bento_monitor.connections.counts", "ConnectionCounts", "_claim"),
    "releases": ("bento_monitor.releases.agent", "ReleaseAgent", "start"),
}


def _raise(*_: object, **__: object) -> NoReturn:
    raise RuntimeError("a bug of the monitor's own")


def _break(name: str) -> None:
    module, owner, function = HOOKS[name]
    target = import_module(module)
    setattr(getattr(target, owner) if owner else target, function, _raise)


# Only in workers: modules of BentoML's server must not be imported in its supervisor.
if "--worker-id" in sys.argv:
    for hook in os.environ["FAULT_HOOK"].split(","):
        _break(hook)
