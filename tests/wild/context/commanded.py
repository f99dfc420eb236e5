"""A service that is a command: BentoML forwards its requests, with a FastAPI application."""

from __future__ import annotations

import os
import sys
from pathlib import Path

import bentoml

from bento_monitor import monitored

PORT = int(os.environ["COMMAND_PORT"])


@monitored
@bentoml.service(http={"proxy_port": PORT})
class Commanded:
    def __command__(self) -> list[str]:
        return [sys.executable, str(Path(__file__).with_name("command.py")), str(PORT)]
