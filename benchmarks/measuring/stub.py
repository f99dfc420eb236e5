"""A server with scripted service times: when it must respond is known to the microsecond.

`python stub.py SCRIPT` prints its port. A request's body is its number in the script, a file of nanoseconds. With the
`queue` "one" requests are served one after another; with "each" every response comes after its own time.
"""

from __future__ import annotations

import heapq
import json
import selectors
import socket
import sys
import threading
import time
from pathlib import Path

_ANSWER = b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok"
_SWITCH_INTERVAL_S = 0.0001
_LONGEST_SLEEP_S = 0.01


class Stub:
    """A server in which one thread reads requests, and another answers them when they are due."""

    def __init__(self, services_ns: list[int], *, is_one_queue: bool) -> None:
        self._services_ns = services_ns
        self._is_one_queue = is_one_queue
        self._free_ns = 0
        self._due: list[tuple[int, int, socket.socket]] = []
        self._count = 0
        self._changed = threading.Condition()
        self._listener = socket.create_server(("127.0.0.1", 0), backlog=1024)
        self.port: int = self._listener.getsockname()[1]

    def run(self) -> None:
        """Serve until the process exits."""
        threading.Thread(target=self._answer, daemon=True).start()
        selector = selectors.DefaultSelector()
        selector.register(self._listener, selectors.EVENT_READ)
        while True:
            for key, _ in selector.select():
                if key.fileobj is self._listener:
                    connection, _ = self._listener.accept()
                    connection.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
                    selector.register(connection, selectors.EVENT_READ)
                else:
                    assert isinstance(key.fileobj, socket.socket)
                    self._read(key.fileobj, selector)

    def _read(self, connection: socket.socket, selector: selectors.BaseSelector) -> None:
        data = connection.recv(4096)  # a request is a few hundred bytes, and arrives in one piece
        now_ns = time.monotonic_ns()
        if not data:
            selector.unregister(connection)
            connection.close()
            return
        service_ns = self._services_ns[int(data.rpartition(b"\r\n\r\n")[2])]
        with self._changed:
            starts_ns = max(now_ns, self._free_ns) if self._is_one_queue else now_ns
            self._free_ns = starts_ns + service_ns
            self._count += 1
            heapq.heappush(self._due, (self._free_ns, self._count, connection))
            self._changed.notify()

    def _answer(self) -> None:
        while True:
            with self._changed:
                while not self._due:
                    self._changed.wait()
                due_ns = self._due[0][0]
            left_ns = due_ns - time.monotonic_ns()
            if left_ns > 0:
                time.sleep(min(left_ns * 1e-9, _LONGEST_SLEEP_S))
                continue
            with self._changed:
                _, _, connection = heapq.heappop(self._due)
            connection.sendall(_ANSWER)


def main(script: Path) -> None:
    """Serve a script."""
    sys.setswitchinterval(_SWITCH_INTERVAL_S)
    spec = json.loads(script.read_text())
    stub = Stub(spec["services_ns"], is_one_queue=spec["queue"] == "one")
    print(stub.port, flush=True)
    stub.run()


if __name__ == "__main__":
    main(Path(sys.argv[1]))
