"""For tests of services that are traced: a receiver of what they export, and the laws that their traces keep.

    with OtlpReceiver() as receiver:
        ...  # start the service with receiver.environment, send it requests, stop it
        assert find_violations(receiver.spans(), requests=100) == []

Nothing in here is imported by a service.
"""

from __future__ import annotations

from ..tracing.store.trace_record import SpanLink, SpanRecord
from .faults import Fault
from .jaeger import read_jaeger
from .receiver import OtlpReceiver
from .trace_laws import Violation, find_violations

__all__ = ["Fault", "OtlpReceiver", "SpanLink", "SpanRecord", "Violation", "find_violations", "read_jaeger"]
