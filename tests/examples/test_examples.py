from __future__ import annotations

import re
import tomllib
from pathlib import Path

import pytest

EXAMPLES = Path(__file__).parents[2] / "examples"
WITH_DEMO = sorted(path.parent.name for path in EXAMPLES.glob("*/example.toml"))
OUR_LINES = re.compile(r"^(from bento_monitor import .*|@monitored)\n", re.MULTILINE)
OUR_RUNNER = re.compile(r'MonitoredRunner\((.+?)(?:, name="\w+")?\)(,?)$', re.MULTILINE)
# What decided, and for whom: BentoML does not know it.
OUR_FACTS = re.compile(r", self\.\w+\.answered_by, request_trace_ids\(\)")


def without_ours(source: str) -> str:
    return OUR_FACTS.sub("", OUR_RUNNER.sub(r"\1\2", OUR_LINES.sub("", source)))


@pytest.mark.parametrize("example", WITH_DEMO)
def test_service_differs_from_the_plain_one_by_our_lines_alone(example: str) -> None:
    plain = (EXAMPLES / example / "service_plain.py").read_text()
    monitored = (EXAMPLES / example / "service.py").read_text()
    assert "bento_monitor" not in plain
    assert "@monitored" in monitored
    assert "MonitoredRunner(" in monitored
    assert without_ours(monitored) == plain


@pytest.mark.parametrize("example", WITH_DEMO)
def test_plain_service_imports_nothing_of_ours(example: str) -> None:
    for path in (EXAMPLES / example).glob("*.py"):
        if path.name not in ("service.py", "deciding.py"):  # deciding.py loads a release to reproduce its decision
            assert "bento_monitor" not in path.read_text(), path.name


@pytest.mark.parametrize("example", WITH_DEMO)
def test_description_names_files_and_services_that_exist(example: str) -> None:
    described = tomllib.loads((EXAMPLES / example / "example.toml").read_text())
    for target in (described["service"], described["baseline"]):
        module, _, name = target.partition(":")
        assert f"class {name}" in (EXAMPLES / example / f"{module}.py").read_text()
    assert f"def {described['api']}(" in (EXAMPLES / example / "service.py").read_text()
    assert (EXAMPLES / example / "make_data.py").is_file()
