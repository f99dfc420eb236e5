"""In place of BentoML's `bentoml_cli.worker.http_api_server`: a worker of a legacy service."""

from __future__ import annotations

if __name__ == "__main__":
    from ...bentoml_hooks.monitored_loading import run_worker

    run_worker("bentoml_cli.worker.http_api_server")
