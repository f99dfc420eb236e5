"""Tools for tests of traced services: an OTLP receiver, and a checker of the trace laws.

    with OtlpReceiver() as receiver:
        ...  # start the service with receiver.environment, send it requests, stop it
        assert find_violations(receiver.spans(), requests=100) == []

A service imports nothing from this package.
"""

from __future__ import annotations

from ..tracing.store.trace_record import SpanLink, SpanRecord
from .faults import Fault
from .jaeger import read_jaeger
from .receiver import OtlpReceiver
from .trace_laws import Violation, find_violations

__all__ = ["Fault", "OtlpReceiver", "SpanLink", "SpanRecord", "Violation", "find_violations", "read_jaeger"]
