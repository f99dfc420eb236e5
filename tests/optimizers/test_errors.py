from __future__ import annotations

from optimizers.errors import ArtifactError, first_line


def test_a_wall_of_text_is_its_first_line_cut_where_a_person_stops_reading() -> None:
    assert (
        first_line(ArtifactError("\n  It cannot be exported.\nTraceback:\n" + "x" * 5000)) == "It cannot be exported."
    )
    assert len(first_line(ArtifactError("x" * 5000))) == 200
    assert first_line(ArtifactError("x" * 5000)).endswith("...")


def test_an_error_without_words_is_its_kind() -> None:
    assert first_line(ArtifactError("")) == "ArtifactError"
