"""Reads release records from JSON; invalid records of a person or an earlier version are rejected."""

from __future__ import annotations

import json
from typing import Any

from ..errors import ReleaseError
from ..serving_config import Batching, Execution
from .release_bounds import check_bounds, require_object, require_shallow
from .release_record import OutputForm, Release, TensorSpec


def parse_release(text: str) -> Release:
    """Parse a record in the format of `Release.to_json`.

    Raises:
        ReleaseError: the text is not a release record, or a value in it is out of bounds.
    """
    try:
        raw = json.loads(text)
        require_object(raw)
        require_shallow(raw)
        # Early records have one `api` instead of `apis`.
        raw["apis"] = _names(raw["apis"]) if "apis" in raw else (raw.pop("api"),)
        raw["execution"] = Execution(**raw["execution"])
        raw["batching"] = Batching(**raw["batching"]) if raw["batching"] is not None else None
        for key in ("inputs", "outputs"):
            raw[key] = tuple(
                TensorSpec(each["name"], each["dtype"], tuple(each["shape"]), tuple(each["example"]))
                for each in raw[key]
            )
        raw["output_form"] = OutputForm.from_dict(raw["output_form"])
        release = Release(**raw)
        check_bounds(release)
    except (ValueError, KeyError, TypeError, AttributeError, RecursionError, OverflowError) as error:
        raise ReleaseError(f"This is not a release record: {_summary(error)}.", "record") from error
    return release


def _names(names: Any) -> tuple[str, ...]:
    if not isinstance(names, list):
        raise TypeError(f"apis is {names!r:.60}, not a list of names")
    return tuple(names)


def _summary(error: Exception) -> str:
    if isinstance(error, RecursionError):
        return "it is nested too deeply"
    if isinstance(error, KeyError):
        return f"{error.args[0]!r} is missing"
    return str(error)[:300].rstrip(".")
