"""Profiles as JSON files."""

from __future__ import annotations

import json
from dataclasses import asdict
from pathlib import Path
from typing import Any

from ...errors import InputError
from ...machine.gpu_use import GpuUse
from ..loadgen.slo import Slo
from ..loadgen.slo_search import RateTrial, SloSearch
from .profile_record import (
    BatchTime,
    Finding,
    GcPauses,
    Intensity,
    LengthTime,
    LoadPoint,
    MachineUse,
    Percentile,
    Profile,
    ServerUse,
    StageTime,
    StandaloneProfile,
)


def profile_text(profile: Profile) -> str:
    """Return the profile as JSON text."""
    return json.dumps(asdict(profile), indent=1, allow_nan=False) + "\n"


def read_profile(path: Path) -> Profile:
    """Read a file of `profile_text`.

    Raises:
        InputError: the file cannot be read, or is not a profile.
    """
    try:
        fields: dict[str, Any] = json.loads(path.read_text(encoding="utf-8"))
        points = tuple(_point(each) for each in fields.pop("points"))
        findings = tuple(Finding(**each | {"evidence": tuple(each["evidence"])}) for each in fields.pop("findings"))
        standalone = fields.pop("bare" if "bare" in fields else "standalone")  # its former name, until 0.2
        slo = fields.pop("slo")
        return Profile(
            **fields,
            points=points,
            findings=findings,
            standalone=None if standalone is None else read_standalone(standalone),
            slo=None if slo is None else _slo(slo),
        )
    except (OSError, ValueError, KeyError, TypeError) as error:
        problem = f"{path} is not a profile ({error})"
        raise InputError(f"{problem}: write one with bento-monitor profile --output FILE.") from error


def read_standalone(fields: dict[str, Any]) -> StandaloneProfile:
    """Return the standalone profile of a JSON object."""
    return StandaloneProfile(
        **fields
        | {
            "times": tuple(BatchTime(**each) for each in fields["times"]),
            "length_times": tuple(LengthTime(**each) for each in fields["length_times"]),
            "intensities": tuple(Intensity(**each) for each in fields["intensities"]),
            "operators": tuple((name, share) for name, share in fields["operators"]),
        }
    )


def _slo(fields: dict[str, Any]) -> SloSearch:
    return SloSearch(Slo(**fields["slo"]), fields["rate_rps"], tuple(RateTrial(**each) for each in fields["trials"]))


def _point(fields: dict[str, Any]) -> LoadPoint:
    server = fields.pop("server")
    return LoadPoint(
        **fields
        | {
            "rates_rps": tuple(fields["rates_rps"]),
            "latencies": tuple(Percentile(**each) for each in fields["latencies"]),
            "stages": tuple(StageTime(**each) for each in fields["stages"]),
            "machine": MachineUse(**fields["machine"]),
            "gpus": tuple(GpuUse(**each) for each in fields["gpus"]),
            "server": None if server is None else ServerUse(**server | {"pauses": GcPauses(**server["pauses"])}),
        }
    )
