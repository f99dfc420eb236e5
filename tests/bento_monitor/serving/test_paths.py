"""The request path of each API, read without serving the service."""

from pathlib import Path

import pytest

from bento_monitor.errors import ServiceError
from bento_monitor.serving.paths import read_paths

SERVICES = Path(__file__).parents[2] / "integration" / "services"


def test_every_api_is_listed_with_the_reason_for_a_missing_plan() -> None:
    found = {path.route: path for path in read_paths("plain:Plain", SERVICES)}
    assert found.keys() == {"/sync", "/asynchronous", "/stream", "/batched", "/fails", "/refuses"}
    assert [path.route for path in found.values() if not path.is_fast] == ["/stream"]
    assert found["/stream"].reason == "it is a stream"


def test_disabled_fast_path_is_shown(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("BENTO_MONITOR_FAST_PATH", "false")
    assert {path.reason for path in read_paths("plain:Plain", SERVICES)} == {"BENTO_MONITOR_FAST_PATH is false"}


def test_service_that_cannot_be_imported_gives_one_sentence() -> None:
    with pytest.raises(ServiceError, match="cannot be imported"):
        read_paths("nowhere:Plain", SERVICES)
