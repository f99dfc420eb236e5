from __future__ import annotations

from pathlib import Path

from optimizers.study_folder import study_key
from optimizers.study_spec import StudySpec, command_of


def spec_of(folder: Path, **fields: object) -> StudySpec:
    (folder / "eval.npz").write_bytes(b"data")
    return StudySpec(target="svc:Svc", working_dir=folder, data=folder / "eval.npz", metric="accuracy", **fields)


def test_allow_slower_alone_is_in_the_command_but_not_in_the_key(tmp_path: Path) -> None:
    plain, allowed = spec_of(tmp_path), spec_of(tmp_path, allow_slower_alone=True)
    assert study_key(plain, "f", {}) == study_key(allowed, "f", {})
    assert study_key(plain, "f", {}) != study_key(spec_of(tmp_path, blocks=11), "f", {})
    assert "--allow-slower-alone" in command_of(allowed)
    assert "--allow-slower-alone" not in command_of(plain)
