"""Trace every request of a BentoML service, show where the time goes, and serve releases.

The public names are imported on first use, so importing the package is cheap and cannot fail.
"""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from .batching.isolation import isolate_failures
    from .legacy import monitored_runner
    from .runner import MonitoredRunner
    from .service import monitored
    from .settings import MonitorSettings
    from .tracing.context.row_traces import request_trace_ids

__version__ = "0.1.0"

__all__ = [
    "MonitorSettings",
    "MonitoredRunner",
    "__version__",
    "isolate_failures",
    "monitored",
    "monitored_runner",
    "request_trace_ids",
]

_MODULE_OF = {
    "MonitorSettings": ".settings",
    "MonitoredRunner": ".runner",
    "isolate_failures": ".batching.isolation",
    "monitored": ".service",
    "monitored_runner": ".legacy",
    "request_trace_ids": ".tracing.context.row_traces",
}


def __getattr__(name: str) -> object:
    module = _MODULE_OF.get(name)
    if module is None:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    value: object = getattr(import_module(module, __name__), name)
    globals()[name] = value
    return value


def __dir__() -> list[str]:
    return sorted({*globals(), *__all__})
