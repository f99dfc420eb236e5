"""In place of BentoML's `_bentoml_impl.worker.service`: a worker of a service."""

from __future__ import annotations

from . import run_monitored

if __name__ == "__main__":
    run_monitored("_bentoml_impl.worker.service")
