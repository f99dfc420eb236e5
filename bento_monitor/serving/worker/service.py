"""In place of BentoML's `_bentoml_impl.worker.service`: a worker of a service."""

from __future__ import annotations

if __name__ == "__main__":
    from ...bentoml_hooks.monitored_loading import run_worker

    run_worker("_bentoml_impl.worker.service")
