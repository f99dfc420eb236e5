"""The time of a request that no stage covers, by an independent clock around the server's protocol."""

from __future__ import annotations

import json
import secrets
import urllib.request
from pathlib import Path

import numpy as np
import pytest

from bento_monitor import conventions as names
from bento_monitor.lab.loadgen import LoadSpec, run_load
from bento_monitor.lab.server.process import start_server
from bento_monitor.lab.server.server_spec import ServerSpec
from bento_monitor.testing import OtlpReceiver

SERVICES = Path(__file__).parent / "services"
REQUESTS = 600
BODIES = {"asynchronous": b"{}", "sync": b"{}", "batched": b'{"xs": [1]}'}


@pytest.mark.parametrize("api", BODIES)
def test_stages_cover_a_request_from_first_to_last_byte(tmp_path: Path, api: str) -> None:
    trace_ids = [secrets.token_hex(16) for _ in range(REQUESTS)]
    with OtlpReceiver() as receiver:
        env = receiver.environment | {"BENTO_MONITOR_HOME": str(tmp_path / "monitor")}
        spec = ServerSpec(target="clocked:Clocked", working_dir=SERVICES, env=env, home=tmp_path / "bentoml")
        with start_server(spec) as server:
            load = LoadSpec(
                port=server.port,
                path=f"/{api}",
                bodies=(BODIES[api],),
                mode="closed",
                connections=8,
                request_count=REQUESTS,
                traceparents=tuple(f"00-{trace_id}-{secrets.token_hex(8)}-01" for trace_id in trace_ids),
            )
            assert (run_load(load).status == 200).all()
            ask = urllib.request.Request(
                f"{server.base_url}/clock", data=b"{}", headers={"Content-Type": "application/json"}
            )
            with urllib.request.urlopen(ask, timeout=20) as answer:
                clock = json.load(answer)
        spans = {span.trace_id: span for span in receiver.spans() if span.kind == "SERVER"}
    took = np.array([clock[trace_id][1] - clock[trace_id][0] for trace_id in trace_ids], float)
    since_read = [name for name in names.STAGES if name != names.STAGE_SOCKET_WAIT]
    stages = np.array([sum(spans[trace_id].attributes.get(name, 0) for name in since_read) for trace_id in trace_ids])
    unaccounted = np.abs(took - stages)
    for share, relative, absolute_ns in ((0.5, 0.01, 5_000), (0.99, 0.05, 50_000)):
        found_ns = np.quantile(unaccounted, share)
        assert found_ns <= max(relative * np.quantile(took, share), absolute_ns), f"{share}: {found_ns} ns"
