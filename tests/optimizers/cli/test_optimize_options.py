"""Invalid option values are refused before any work starts."""

from __future__ import annotations

import pytest
from click.testing import CliRunner

from bento_monitor.cli import main

COMMAND = ("optimize", "nowhere:Service", "--data", "nothing.npz", "--metric", "accuracy")


@pytest.mark.parametrize(
    ("option", "value"),
    [
        ("--block-seconds", "nan"),
        ("--block-seconds", "inf"),
        ("--min-accuracy", "nan"),
        ("--seed", "-1"),
        ("--workers", "0"),
        ("--connections", "0"),
        ("--max-drop", "nan"),
        ("--slo", "fast"),
    ],
)
def test_invalid_option_value_is_one_error_line_and_exit_code_2(option: str, value: str) -> None:
    done = CliRunner().invoke(main, [*COMMAND, option, value])
    assert done.exit_code == 2
    assert len([line for line in done.stderr.splitlines() if line.startswith("Error: ")]) == 1
    assert "nothing.npz" not in done.stderr
