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
            thread = threading.Thread(target=_switch_often)
            thread.start()
            # If other processes use the machine, the thread runs less often.
            while thread.is_alive():
                sum(range(10_000))
            amid = read_use([os.getpid()], [os.getpid()], port)
            thread.join()
    assert before.worker_connections == {os.getpid(): 1}
    assert amid.rss_bytes > 2**20
    assert amid.voluntary_switches - before.voluntary_switches >= 10
    assert amid.worker_cpu_s[os.getpid()] == amid.cpu_s
    assert (os.getpid(), threading.main_thread().native_id) in amid.thread_cpu_s


def test_dead_process_has_used_nothing():
    use = read_use([2**22 - 1], [2**22 - 1], 1)
    assert (use.cpu_s, use.rss_bytes) == (0, 0)
    assert (use.worker_cpu_s, use.worker_connections) == ({2**22 - 1: 0}, {2**22 - 1: 0})


def _switch_often() -> None:
    for _ in range(200):
        time.sleep(0.001)
