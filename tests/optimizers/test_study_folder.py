from __future__ import annotations

from pathlib import Path

import pytest

from optimizers.errors import StudyInputError
from optimizers.study_folder import StudyFolder


def test_a_folder_that_cannot_be_made_is_said_with_the_option_that_names_another(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    for place in (tmp_path / "file" / "studies", Path("/proc/studies")):
        with pytest.raises(StudyInputError, match=r"Not a directory.*--study-dir|No such file.*--study-dir"):
            StudyFolder(place)
