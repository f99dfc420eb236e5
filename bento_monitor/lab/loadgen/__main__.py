"""The load generator as a process: it reads a spec from stdin and writes a result into a folder.

`python -m bento_monitor.lab.loadgen FOLDER` reads one line of JSON, prints `started` when it begins to send, and ends
when the load ends. On SIGTERM or the end of stdin it plans no more requests, waits for those in flight, and writes its
result.
"""

from __future__ import annotations

import asyncio
import gc
import signal
import sys
from pathlib import Path

import uvloop

from ...errors import BentoMonitorError
from .closed import ClosedLoad
from .load_spec import LoadSpec, body_order
from .open import OpenLoad
from .packing import read_bodies
from .recorder import Recorder
from .requests import RequestBytes
from .result import LoadResult


def main(arguments: list[str]) -> int:
    """Run the load of the spec on stdin and write its result into the given folder."""
    folder = Path(arguments[0])
    try:
        spec = LoadSpec.from_json(sys.stdin.readline())
        assert isinstance(spec.bodies, Path)
        bodies = read_bodies(spec.bodies)
        uvloop.run(_run(spec, bodies)).save(folder)
    except (BentoMonitorError, OSError) as error:
        sys.stderr.write(f"{error}\n")
        return 1
    return 0


async def _run(spec: LoadSpec, bodies: tuple[bytes, ...]) -> LoadResult:
    requests = RequestBytes(spec, bodies)
    recorder = Recorder(body_order(spec, len(bodies)), spec.keep_every)
    client = (ClosedLoad if spec.mode == "closed" else OpenLoad)(spec, requests, recorder)
    await client.connect()
    loop = asyncio.get_running_loop()
    loop.add_signal_handler(signal.SIGTERM, client.stop)
    loop.add_reader(sys.stdin.fileno(), _stop_at_end_of_input, client)
    gc.freeze()
    sys.stdout.write("started\n")
    sys.stdout.flush()
    return await client.run()


def _stop_at_end_of_input(client: ClosedLoad | OpenLoad) -> None:
    asyncio.get_running_loop().remove_reader(sys.stdin.fileno())
    client.stop()


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
