"""The worker processes of a monitored server: BentoML's own scripts, in which what is loaded is monitored."""

from __future__ import annotations

from typing import Any


def run_monitored(script: str) -> None:
    """Run a script of BentoML's in this process; the service that it loads is monitored."""
    from ...integrations.bentoml.monitored_loading import run_worker

    run_worker(script, _monitor)


def _monitor(service: Any) -> Any:
    # Here: BentoML configures the log first, and what then has a logger already is silent for good.
    from ...service import monitored

    return monitored(service)
