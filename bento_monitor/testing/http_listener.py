"""The receiver's HTTP server."""

from __future__ import annotations

import gzip
import socket
import struct
import threading
from contextlib import suppress
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

from .faults import Fault
from .inbox import Export, Inbox

_TIMEOUT_S = 60.0


class HttpListener:
    """Runs one HTTP server at a time, which tracks its connections to close them."""

    def __init__(self, inbox: Inbox) -> None:
        self._inbox = inbox
        self._server: _Server | None = None
        self._thread: threading.Thread | None = None

    def open(self, port: int) -> int:
        """Listen on a port, 0 for any free port; return the port."""
        self._server = _Server(("127.0.0.1", port), self._inbox)
        self._thread = threading.Thread(target=self._server.serve_forever, args=(0.02,), daemon=True)
        self._thread.start()
        return int(self._server.server_address[1])

    def close(self) -> None:
        """Stop listening, and close every connection."""
        if self._server is not None and self._thread is not None:
            self._server.shutdown()
            self._thread.join()
            self._server.server_close()
            self._server.cut_connections()


class _Server(ThreadingHTTPServer):
    daemon_threads = True
    block_on_close = False
    request_queue_size = 128

    def __init__(self, address: tuple[str, int], inbox: Inbox) -> None:
        self.inbox = inbox
        self._connections: set[socket.socket] = set()
        self._lock = threading.Lock()
        super().__init__(address, _Handler)

    def process_request(self, request: Any, client_address: Any) -> None:
        with self._lock:
            self._connections.add(request)
        super().process_request(request, client_address)

    def shutdown_request(self, request: Any) -> None:
        with self._lock:
            self._connections.discard(request)
        super().shutdown_request(request)

    def cut_connections(self) -> None:
        with self._lock:
            for connection in self._connections:
                with suppress(OSError):
                    connection.shutdown(socket.SHUT_RDWR)

    def handle_error(self, request: Any, client_address: Any) -> None:
        """Ignore errors: clients may disconnect."""


class _Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    timeout = _TIMEOUT_S
    server: _Server

    def do_POST(self) -> None:
        inbox = self.server.inbox
        inbox.attempts += 1
        fault = inbox.fault
        length = int(self.headers["content-length"])
        if fault is not None and fault.kind == "reset":
            self.rfile.read(length // 2)
            self._reset()
            return
        body = self.rfile.read(length)
        if fault is not None and (fault.kind == "hang" or fault.delay_s):
            inbox.closing.wait(fault.delay_s or _TIMEOUT_S)
        if fault is not None and fault.kind == "hang":
            self.close_connection = True
            return
        if fault is None or fault.kind == "slow":
            headers = {name.lower(): value for name, value in self.headers.items()}
            is_compressed = headers.get("content-encoding") == "gzip"
            inbox.exports.append(Export(self.path, gzip.decompress(body) if is_compressed else body, headers))
        self._answer(fault)

    def _answer(self, fault: Fault | None) -> None:
        self.send_response(fault.status if fault is not None else 200)
        if fault is not None and fault.retry_after_s is not None:
            self.send_header("retry-after", str(fault.retry_after_s))
        self.send_header("content-type", "application/x-protobuf")
        self.send_header("content-length", "0")
        self.end_headers()

    def _reset(self) -> None:
        # Closing with a linger time of 0 resets the connection.
        self.connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
        self.close_connection = True
        self.connection.close()

    def log_message(self, format: str, *args: object) -> None:  # noqa: A002
        """Do not log."""
