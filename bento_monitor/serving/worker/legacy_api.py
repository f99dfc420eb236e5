"""In place of BentoML's `bentoml_cli.worker.http_api_server`: a worker of a legacy service."""

from __future__ import annotations

from . import run_monitored

if __name__ == "__main__":
    run_monitored("bentoml_cli.worker.http_api_server")
