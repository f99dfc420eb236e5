"""MLPerf's load generator, in its own process: `python mlperf.py PORT RPS SECONDS`.

Poisson arrivals, latency from the planned time. Prints a line of JSON: the percentiles in ns from LoadGen's summary.
"""

from __future__ import annotations

import json
import queue
import re
import socket
import sys
import tempfile
import threading
from pathlib import Path

_CONNECTIONS = 32
_PERCENTILE = re.compile(r"^(\d+\.\d+) percentile latency \(ns\)\s*:\s*(\d+)$", re.MULTILINE)


def main(port: int, rate_rps: float, seconds: float) -> None:
    """Run the server scenario and print LoadGen's percentiles."""
    import mlperf_loadgen as lg

    waiting: queue.SimpleQueue[int] = queue.SimpleQueue()
    for _ in range(_CONNECTIONS):
        threading.Thread(target=_ask, args=(port, waiting, lg), daemon=True).start()
    settings = lg.TestSettings()
    settings.scenario, settings.mode = lg.TestScenario.Server, lg.TestMode.PerformanceOnly
    settings.server_target_qps, settings.server_target_latency_ns = rate_rps, 10**9
    settings.min_duration_ms = settings.max_duration_ms = round(seconds * 1e3)
    settings.min_query_count = 1

    def issue(samples: list[object]) -> None:
        for sample in samples:
            waiting.put(sample.id)  # type: ignore[attr-defined]

    sut = lg.ConstructSUT(issue, lambda: None)
    library = lg.ConstructQSL(1, 1, lambda _: None, lambda _: None)
    with tempfile.TemporaryDirectory(prefix="bench-mlperf-") as folder:
        logs = lg.LogSettings()
        logs.log_output.outdir, logs.log_output.copy_summary_to_stdout, logs.enable_trace = folder, False, False
        lg.StartTestWithLogSettings(sut, library, settings, logs)
        summary = (Path(folder) / "mlperf_log_summary.txt").read_text()
    lg.DestroyQSL(library)
    lg.DestroySUT(sut)
    print(json.dumps({f"p{float(name):g}": int(value) for name, value in _PERCENTILE.findall(summary)}))


def _ask(port: int, waiting: queue.SimpleQueue[int], lg: object) -> None:
    connection = socket.create_connection(("127.0.0.1", port))
    connection.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
    request = b"POST /f HTTP/1.1\r\nHost: 127.0.0.1\r\nContent-Length: 1\r\n\r\n0"
    while True:
        identifier = waiting.get()
        connection.sendall(request)
        if not connection.recv(4096):
            raise SystemExit("the server has closed a connection")
        lg.QuerySamplesComplete([lg.QuerySampleResponse(identifier, 0, 0)])  # type: ignore[attr-defined]


if __name__ == "__main__":
    main(int(sys.argv[1]), float(sys.argv[2]), float(sys.argv[3]))
