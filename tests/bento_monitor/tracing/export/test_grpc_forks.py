from __future__ import annotations

import os
import subprocess
import sys

import pytest

from bento_monitor.tracing.export.grpc_forks import fork_handlers_off

# A fork during a call that waits for a missing server: gRPC logs the fork if it notices it.
FORK_AMID_A_CALL = """
import contextlib, os, sys, threading, time
from bento_monitor.tracing.export.grpc_forks import fork_handlers_off

before = os.environ.get("GRPC_ENABLE_FORK_SUPPORT")
with fork_handlers_off() if sys.argv[1] == "off" else contextlib.nullcontext():
    import grpc
    channel = grpc.insecure_channel("127.0.0.1:1")
assert os.environ.get("GRPC_ENABLE_FORK_SUPPORT") == before

def call():
    with contextlib.suppress(grpc.RpcError):
        channel.unary_unary("/a/b")(b"", timeout=2, wait_for_ready=True)

threading.Thread(target=call, daemon=True).start()
time.sleep(0.5)
pid = os.fork()
if pid == 0:
    os._exit(0)
os.waitpid(pid, 0)
os._exit(0)
"""


def said(mode: str, value: str | None) -> str:
    environment = {name: each for name, each in os.environ.items() if name != "GRPC_ENABLE_FORK_SUPPORT"}
    if value is not None:
        environment["GRPC_ENABLE_FORK_SUPPORT"] = value
    command = [sys.executable, "-c", FORK_AMID_A_CALL, mode]
    done = subprocess.run(command, env=environment, capture_output=True, text=True, check=True, timeout=60)
    return done.stderr


@pytest.mark.parametrize("value", [None, ""])
def test_grpc_ignores_forks_if_the_monitor_imports_it(value):
    assert "fork() handlers" not in said("off", value)  # from 3.12 on, Python itself warns about forks with threads


def test_grpc_sees_forks_if_imported_without_the_monitor():
    assert "fork() handlers" in said("on", None)


def test_setting_of_the_user_is_kept(monkeypatch):
    monkeypatch.setenv("GRPC_ENABLE_FORK_SUPPORT", "1")
    with fork_handlers_off():
        assert os.environ["GRPC_ENABLE_FORK_SUPPORT"] == "1"
