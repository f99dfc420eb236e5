"""`--space`: chosen values replace those of the search; a wrong file is an error that says what would be right."""

from __future__ import annotations

from pathlib import Path

import pytest

from optimizers.errors import StudyInputError
from optimizers.search_space.choices import ALL, SpaceChoices, chosen_families, read_choices
from optimizers.search_space.recipe import Cut, Family, FamilySpace, Recipe

SPACE = FamilySpace(
    (
        Family((Recipe("onnxruntime", "fp32"),)),
        Family(
            (Recipe("onnxruntime", "int8-static-all-minmax-100"), Recipe("onnxruntime", "int8-static-all-entropy-100"))
        ),
    ),
    (Cut("openvino", "it is not installed"),),
)


def write(folder: Path, text: str) -> Path:
    path = folder / "space.toml"
    path.write_text(text, encoding="utf-8")
    return path


def test_values_are_read_as_lists_or_alone(tmp_path: Path) -> None:
    found = read_choices(write(tmp_path, 'precision = "onnxruntime *"\nthreads = [1, 2]\nwindow_ms = [0, 2.5]\n'))
    assert found == SpaceChoices(precision=("onnxruntime *",), threads=(1, 2), window_ms=(0, 2.5))


@pytest.mark.parametrize(
    ("text", "says"),
    [
        ("thread = [1]", "a knob thread, which does not exist: give precision, threads, "),
        ("threads = [0]", "threads.0: Input should be greater than or equal to 1 .found: 0."),
        ("threads = ['two']", "valid integer"),
        ("threads = [1.5]", "threads.0"),
        ("window_ms = [nan]", "window_ms.0"),
        ("threads = [true]", "threads.0"),
        ("threads =", "is not a TOML file"),
    ],
)
def test_wrong_file_is_refused_with_what_is_wrong(tmp_path: Path, text: str, says: str) -> None:
    with pytest.raises(StudyInputError, match=says):
        read_choices(write(tmp_path, text))


def test_missing_file_is_refused(tmp_path: Path) -> None:
    with pytest.raises(StudyInputError, match="cannot be read"):
        read_choices(tmp_path / "none.toml")


def test_whole_space_stays_without_choices() -> None:
    assert chosen_families(SPACE, ALL) == SPACE


def test_precisions_that_were_not_chosen_are_cut() -> None:
    found = chosen_families(SPACE, SpaceChoices(precision=("*entropy*",)))
    assert [recipe.precision for recipe in found.recipes] == ["int8-static-all-entropy-100"]
    assert Cut("onnxruntime fp32", "left out by --space") in found.cuts


def test_pattern_that_fits_nothing_is_refused_with_the_reason() -> None:
    with pytest.raises(StudyInputError, match=r"'openvino bf16' .openvino: it is not installed.\. There are: onnx"):
        chosen_families(SPACE, SpaceChoices(precision=("openvino bf16",)))
