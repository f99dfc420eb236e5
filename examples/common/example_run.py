"""How an example is run: the variables of its processes, and the command that searches for its release."""

from __future__ import annotations

import sys
from pathlib import Path

from example_spec import FILES_VARIABLE, Example

COMMAND = str(Path(sys.executable).with_name("bento-monitor"))


def run_environment(files: Path, folder: Path) -> dict[str, str]:
    """Return the variables with which service, commands and search see the same files, and store theirs in `folder`."""
    return {
        FILES_VARIABLE: str(files),
        "BENTOML_HOME": str(folder / "bentoml"),
        "BENTO_MONITOR_HOME": str(folder / "monitor"),
        "BENTOML_DO_NOT_TRACK": "True",
        "AUDIT_DIR": str(folder / "audit"),  # of loan_approval; else it lies beside the cached weights
    }


def search_command(example: Example, data: Path, study_dir: Path) -> list[str]:
    """Return the command that optimizes the example's API; it prints its result as JSON."""
    command = [COMMAND, "optimize", example.service, "--baseline", example.baseline, "--data", str(data)]
    command += ["--api", example.api, "--metric", example.metric, "--max-drop", f"{example.max_drop:g}"]
    return [*command, "--trials", str(example.trials), "--study-dir", str(study_dir), "--json", *example.options]
