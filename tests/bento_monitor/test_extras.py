"""The missing packages of an extra, and the command that installs them."""

import sys
from importlib import metadata
from pathlib import Path

import pytest

from bento_monitor.backends.onnxruntime import default_session, import_onnxruntime, require_onnxruntime
from bento_monitor.errors import InputError, ReleaseError, ServiceError
from bento_monitor.extras import missing_distributions, missing_message, require_extra
from bento_monitor.installation import read_extras


@pytest.fixture
def without(monkeypatch: pytest.MonkeyPatch) -> None:
    """Make every import of onnxruntime fail, as if it were not installed."""
    monkeypatch.setitem(sys.modules, "onnxruntime", None)


def test_nothing_is_missing_if_all_is_installed() -> None:
    assert missing_distributions("click", "sklearn") == []
    assert missing_message("optimize", "It", "click") is None
    require_extra("optimize", "It", "click")


def test_missing_packages_are_named_with_the_install_command() -> None:
    assert missing_message("onnx", "It", "no_such_a") == "It needs no_such_a: pip install 'bento-monitor[onnx]'"
    with pytest.raises(InputError) as caught:
        require_extra("optimize", "bento-monitor optimize", "no_such_a", "click", "no_such_b")
    assert str(caught.value) == (
        "bento-monitor optimize needs no_such_a and no_such_b: pip install 'bento-monitor[optimize]'"
    )
    assert caught.value.exit_code == 2


@pytest.mark.usefixtures("without")
def test_release_without_onnxruntime_is_refused_with_the_install_command(tmp_path: Path) -> None:
    assert import_onnxruntime() is None
    with pytest.raises(ReleaseError, match=r"pip install 'bento-monitor\[onnx\]'") as caught:
        require_onnxruntime()
    assert caught.value.reason == "library"
    with pytest.raises(ServiceError, match=r"pip install 'bento-monitor\[onnx\]'"):
        default_session(tmp_path / "model.onnx")


def test_extra_contains_the_packages_of_its_extras(monkeypatch: pytest.MonkeyPatch) -> None:
    def nothing(name: str) -> str:
        raise metadata.PackageNotFoundError(name)

    names = {"examples", "onnx", "openvino", "optimize", "profile", "pump", "sklearn"}
    assert {extra.name for extra in read_extras()} == names
    monkeypatch.setattr(metadata, "version", nothing)
    missing = {extra.name: set(extra.missing) for extra in read_extras()}
    assert missing["onnx"] == {"onnxruntime"}
    assert missing["profile"] == {"scipy"}
    assert {"onnx", "onnxruntime", "optuna", "scipy"} <= missing["optimize"] < missing["examples"]
