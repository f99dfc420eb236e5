"""The receiver's gRPC server."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor
from typing import Any

import grpc

from .faults import Fault
from .inbox import METRICS_PATH, TRACES_PATH, Export, Inbox

_SERVICES = {
    "/opentelemetry.proto.collector.trace.v1.TraceService/Export": TRACES_PATH,
    "/opentelemetry.proto.collector.metrics.v1.MetricsService/Export": METRICS_PATH,
}
# OTLP's gRPC codes for HTTP statuses: https://opentelemetry.io/docs/specs/otlp/#failures
_CODES = {
    400: grpc.StatusCode.INVALID_ARGUMENT,
    401: grpc.StatusCode.UNAUTHENTICATED,
    403: grpc.StatusCode.PERMISSION_DENIED,
    429: grpc.StatusCode.RESOURCE_EXHAUSTED,
    503: grpc.StatusCode.UNAVAILABLE,
}
_THREADS = 16
_HANG_S = 60.0


class GrpcListener:
    """Runs one gRPC server at a time."""

    def __init__(self, inbox: Inbox) -> None:
        self._inbox = inbox
        self._server: grpc.Server | None = None

    def open(self, port: int) -> int:
        """Listen on a port, 0 for any free port; return the port."""
        server = grpc.server(ThreadPoolExecutor(_THREADS), options=[("grpc.so_reuseport", 0)])
        server.add_generic_rpc_handlers((_Handler(self._inbox),))
        bound = server.add_insecure_port(f"127.0.0.1:{port}")
        server.start()
        self._server = server
        return int(bound)

    def close(self) -> None:
        """Stop listening, and close every connection."""
        if self._server is not None:
            self._server.stop(grace=None).wait()


class _Handler(grpc.GenericRpcHandler):  # type: ignore[misc]
    def __init__(self, inbox: Inbox) -> None:
        self._inbox = inbox

    def service(self, handler_call_details: Any) -> Any:
        path = _SERVICES.get(handler_call_details.method)
        if path is None:
            return None
        # Bytes in and out: an empty message is a complete response of both services.
        return grpc.unary_unary_rpc_method_handler(lambda body, context: self._take(path, body, context))

    def _take(self, path: str, body: bytes, context: Any) -> bytes:
        inbox = self._inbox
        inbox.attempts += 1
        fault = inbox.fault
        if fault is not None:
            _apply(fault, inbox, context)
        headers = {key: str(value) for key, value in context.invocation_metadata()}
        inbox.exports.append(Export(path, body, headers))
        return b""


def _apply(fault: Fault, inbox: Inbox, context: Any) -> None:
    """Apply a fault; return if the export is to be accepted after all."""
    if fault.kind == "hang":
        inbox.closing.wait(_HANG_S)
    if fault.delay_s:
        inbox.closing.wait(fault.delay_s)
    if fault.kind == "slow":
        return
    code = _CODES.get(fault.status, grpc.StatusCode.UNKNOWN) if fault.kind == "answer" else grpc.StatusCode.UNAVAILABLE
    context.abort(code, f"The receiver simulates the fault {fault.kind!r} with status {fault.status}.")
