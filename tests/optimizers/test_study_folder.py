from __future__ import annotations

from pathlib import Path

import pytest

from optimizers.errors import StudyInputError
from optimizers.study_folder import StudyFolder


def test_folder_that_cannot_be_created_is_refused_with_the_option(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    for place in (tmp_path / "file" / "studies", Path("/proc/studies")):
        with pytest.raises(StudyInputError, match=r"Not a directory.*--study-dir|No such file.*--study-dir"):
            StudyFolder(place)
