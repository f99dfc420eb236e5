"""The package's public names: imported when they are used, not before."""

from __future__ import annotations

import subprocess
import sys
from importlib.metadata import version

import pytest

import bento_monitor


def test_importing_the_package_imports_nothing_else() -> None:
    code = "import sys; old = set(sys.modules); import bento_monitor; print(sorted(set(sys.modules) - old))"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert "bento_monitor." not in done.stdout
    assert not any(name in done.stdout for name in ("bentoml", "pydantic", "torch", "opentelemetry"))


@pytest.mark.parametrize("name", bento_monitor.__all__)
def test_every_public_name_resolves_and_is_listed(name: str) -> None:
    assert getattr(bento_monitor, name) is getattr(bento_monitor, name)
    assert name in dir(bento_monitor)


def test_unknown_name_is_an_attribute_error() -> None:
    with pytest.raises(AttributeError, match="no attribute 'nothing'"):
        _ = bento_monitor.nothing


def test_version_is_that_of_the_distribution() -> None:
    assert bento_monitor.__version__ == version("bento-monitor")
