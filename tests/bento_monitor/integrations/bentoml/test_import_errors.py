"""The message for a failed import of a service: one sentence, without BentoML's advice about bentos."""

from __future__ import annotations

import importlib
import sys
from pathlib import Path

import bentoml
import pytest

from bento_monitor.integrations.bentoml.import_errors import explain_import_error

SOURCES = {
    "fault_raising": "raise ValueError('two lines\\nof weights ' + 'y' * 2000)",
    "fault_exiting": "import sys; sys.exit(4)",
    "fault_missing": "import not_installed_at_all",
    "fault_syntax": "def f(:",
    "fault_service": """
import bentoml
class Plain: pass
@bentoml.service
class Loans:
    @bentoml.api
    def score(self, x: float) -> float:
        return x
""",
}


@pytest.mark.filterwarnings("ignore::DeprecationWarning")  # of BentoML, where a service is made
@pytest.mark.parametrize(
    ("target", "sentence"),
    [
        ("fault_service", "write it as module:Service"),
        ("", "write it as module:Service"),
        ("fault_nowhere:X", "ModuleNotFoundError: No module named 'fault_nowhere'"),
        ("fault_missing:X", "ModuleNotFoundError: No module named 'not_installed_at_all'"),
        ("fault_service:Other", "the module fault_service has no 'Other' (it has the services: Loans)"),
        ("fault_service:Plain", "Plain is not decorated with @bentoml.service, so it cannot be monitored"),
        ("fault_exiting:X", "it ends the process, with the exit code 4"),
        ("fault_syntax:X", "SyntaxError: "),
        ("fault_raising:X", "ValueError: two lines of weights yyy"),
    ],
)
def test_cause_is_given_in_one_short_line(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, target: str, sentence: str
) -> None:
    for name, source in SOURCES.items():
        (tmp_path / f"{name}.py").write_text(source)
    monkeypatch.setattr(sys, "path", [each for each in sys.path if each])  # as with `python -P`
    monkeypatch.chdir(tmp_path)
    importlib.invalidate_caches()
    before = list(sys.path)
    found = explain_import_error(target, bentoml.exceptions.ImportServiceError("bento store ..."), tmp_path)
    assert sys.path == before
    assert found.startswith(sentence)
    assert "\n" not in found
    assert len(found) <= 300
