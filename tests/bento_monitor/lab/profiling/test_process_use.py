from __future__ import annotations

import os
import socket
import threading
import time

from bento_monitor.lab.profiling.process_use import read_use


def test_process_use_covers_all_threads_and_connections_to_the_port():
    with socket.create_server(("127.0.0.1", 0)) as listener:
        port = listener.getsockname()[1]
        with socket.create_connection(("127.0.0.1", port)), listener.accept()[0]:
            before = read_use([os.getpid()], [os.getpid()], port)
            is_over = threading.Event()
            thread = threading.Thread(target=_switch_often, args=(is_over,))
            thread.start()
            try:
                # The switches of a thread that has ended are not counted, and a busy machine runs it less often.
                deadline_s = time.monotonic() + 30
                during = before
                while during.voluntary_switches - before.voluntary_switches < 10 and time.monotonic() < deadline_s:
                    sum(range(100_000))
                    during = read_use([os.getpid()], [os.getpid()], port)
            finally:
                is_over.set()
                thread.join()
    assert before.worker_connections == {os.getpid(): 1}
    assert during.rss_bytes > 2**20
    assert during.voluntary_switches - before.voluntary_switches >= 10
    assert during.worker_cpu_s[os.getpid()] == during.cpu_s
    assert (os.getpid(), threading.main_thread().native_id) in during.thread_cpu_s


def test_dead_process_has_used_nothing():
    use = read_use([2**22 - 1], [2**22 - 1], 1)
    assert (use.cpu_s, use.rss_bytes) == (0, 0)
    assert (use.worker_cpu_s, use.worker_connections) == ({2**22 - 1: 0}, {2**22 - 1: 0})


def _switch_often(is_over: threading.Event) -> None:
    while not is_over.wait(0.001):
        pass
