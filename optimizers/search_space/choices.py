"""`--space FILE`: the values of knobs that a user has chosen, in place of those that the search would try."""

from __future__ import annotations

import tomllib
from fnmatch import fnmatchcase
from pathlib import Path
from typing import Annotated

from pydantic import BaseModel, ConfigDict, Field, ValidationError

from ..errors import StudyInputError
from .recipe import Cut, Family, FamilySpace

Count = Annotated[int, Field(ge=1, le=4096)]
_BY = "left out by --space"


class SpaceChoices(BaseModel):
    """The chosen values of each knob; a knob without values is searched as usual.

    `precision` has patterns of "BACKEND PRECISION", such as "onnxruntime int8-*"; in `sub_batch_size`, 0 stands for a
    batch that runs whole; `cuda_graphs` counts for models that can run by them.
    """

    model_config = ConfigDict(extra="forbid", frozen=True, strict=True)

    precision: tuple[str, ...] = ()
    threads: tuple[Count, ...] = ()
    sub_batch_size: tuple[Annotated[int, Field(ge=0, le=1_000_000)], ...] = ()
    max_batch_size: tuple[Annotated[int, Field(ge=1, le=1_000_000)], ...] = ()
    window_ms: tuple[Annotated[float, Field(ge=0, le=60_000)], ...] = ()
    workers: tuple[Count, ...] = ()
    cuda_graphs: tuple[bool, ...] = ()


ALL = SpaceChoices()


def read_choices(path: Path) -> SpaceChoices:
    """Read a TOML file with a list of values for each knob that is narrowed, fixed or extended.

    Raises:
        StudyInputError: the file cannot be read, or has a knob or a value that does not exist.
    """
    try:
        raw = tomllib.loads(path.read_text(encoding="utf-8"))
    except OSError as error:
        raise StudyInputError(f"--space {path} cannot be read: {error.strerror}.") from error
    except (tomllib.TOMLDecodeError, UnicodeDecodeError) as error:
        raise StudyInputError(f"--space {path} is not a TOML file: {error}.") from error
    try:
        return SpaceChoices.model_validate({knob: _as_tuple(values) for knob, values in raw.items()})
    except ValidationError as error:
        first = error.errors()[0]
        knob = ".".join(map(str, first["loc"]))
        if first["type"] == "extra_forbidden":
            known = ", ".join(SpaceChoices.model_fields)
            raise StudyInputError(f"--space {path} has a knob {knob}, which does not exist: give {known}.") from error
        raise StudyInputError(f"--space {path}: {knob}: {first['msg']} (found: {first['input']!r:.60}).") from error


def _as_tuple(values: object) -> object:
    return tuple(values) if isinstance(values, list) else (values,)


def chosen_families(space: FamilySpace, choices: SpaceChoices) -> FamilySpace:
    """Return the families with the chosen precisions; the others are cut.

    Raises:
        StudyInputError: a pattern fits no precision.
    """
    if not choices.precision:
        return space
    names = [" ".join(recipe.kind) for recipe in space.recipes]
    for pattern in choices.precision:
        if not any(fnmatchcase(name, pattern) for name in names):
            because = next((f" ({cut.what}: {cut.why})" for cut in space.cuts if cut.what in pattern), "")
            raise StudyInputError(
                f"--space: no precision of this model is like {pattern!r}{because}. There are: {', '.join(names)}."
            )
    families, cuts = [], list(space.cuts)
    for family in space.families:
        kept = [recipe for recipe in family.rungs if _is_chosen(" ".join(recipe.kind), choices)]
        cuts += [Cut(" ".join(recipe.kind), _BY) for recipe in family.rungs if recipe not in kept]
        if kept:
            families.append(Family(tuple(kept)))
    return FamilySpace(tuple(families), tuple(cuts))


def _is_chosen(name: str, choices: SpaceChoices) -> bool:
    return any(fnmatchcase(name, pattern) for pattern in choices.precision)
