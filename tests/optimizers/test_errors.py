from __future__ import annotations

from optimizers.errors import ArtifactError, first_line


def test_long_error_is_its_truncated_first_line() -> None:
    assert (
        first_line(ArtifactError("\n  It cannot be exported.\nTraceback:\n" + "x" * 5000)) == "It cannot be exported."
    )
    assert len(first_line(ArtifactError("x" * 5000))) == 200
    assert first_line(ArtifactError("x" * 5000)).endswith("...")


def test_error_without_a_message_is_its_class_name() -> None:
    assert first_line(ArtifactError("")) == "ArtifactError"
