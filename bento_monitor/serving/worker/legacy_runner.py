"""In place of BentoML's `bentoml_cli.worker.runner`: a process of a legacy service's runner."""

from __future__ import annotations

from . import run_monitored

if __name__ == "__main__":
    run_monitored("bentoml_cli.worker.runner")
