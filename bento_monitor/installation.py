"""What is installed, where telemetry goes, and which hooks hold: the facts that `bento-monitor doctor` shows."""

from __future__ import annotations

import os
import shutil
import tempfile
from collections.abc import Sequence
from dataclasses import dataclass
from importlib import metadata
from pathlib import Path
from typing import TYPE_CHECKING

from packaging.requirements import Requirement

from .extras import install_command, missing_distributions
from .settings import read_settings
from .telemetry_environment import TelemetryEnvironment, read_telemetry_environment
from .tracing.plain_text import plain_text_warning

if TYPE_CHECKING:
    from .bentoml_hooks import HookStatus

DISTRIBUTION = "bento-monitor"
_NOT_SHOWN = frozenset({"all", "bench", "dev"})  # extras that no user needs, and the sum of the others
STACK = (
    "bento-monitor",
    "bentoml",
    "torch",
    "onnx",
    "onnxruntime",
    "onnxscript",
    "openvino",
    "scikit-learn",
    "skl2onnx",
    "numpy",
    "scipy",
    "optuna",
    "opentelemetry-sdk",
    "opentelemetry-exporter-otlp-proto-http",
    "opentelemetry-exporter-otlp-proto-grpc",
    "uvicorn",
    "uvloop",
    "httptools",
)


@dataclass(frozen=True, slots=True)
class Extra:
    """An optional part of bento-monitor; `missing` names its distributions that are not installed."""

    name: str
    missing: tuple[str, ...]

    @property
    def install_command(self) -> str:
        """The command that installs it."""
        return install_command(self.name)


@dataclass(frozen=True, slots=True)
class HomeFolder:
    """The folder where traces, pointers and worker states are kept."""

    path: str
    is_writable: bool
    free_bytes: int


@dataclass(frozen=True, slots=True)
class Installation:
    """What works here; `problems` holds one sentence for each thing that must be mended first; `warnings` can wait."""

    packages: dict[str, str | None]
    extras: tuple[Extra, ...]
    onnxruntime_providers: tuple[str, ...]
    telemetry: str
    home: HomeFolder
    capture_fields: tuple[str, ...]
    hooks: tuple[HookStatus, ...]
    problems: tuple[str, ...]
    warnings: tuple[str, ...]


def read_installation() -> Installation:
    """Look at what is installed and set; what cannot be used becomes a problem, never an exception."""
    problems: list[str] = []
    settings, setting_problems = read_settings()
    problems += [f"{problem.text}: change it, or unset it." for problem in setting_problems if problem.is_refused]
    warnings = [f"{problem.text}: it is ignored." for problem in setting_problems if not problem.is_refused]
    home = read_home(settings.home)
    if not home.is_writable:
        problems.append(f"The home folder {home.path} cannot be written: set BENTO_MONITOR_HOME to one that can.")
    environment = read_telemetry_environment()
    warnings += environment.warnings
    if (plain := plain_text_warning(environment)) is not None:
        warnings.append(plain)
    return Installation(
        packages=read_versions(STACK),
        extras=read_extras(),
        onnxruntime_providers=_read_providers(problems),
        telemetry=describe_telemetry(environment, home),
        home=home,
        capture_fields=settings.capture_fields,
        hooks=_read_hooks(problems),
        problems=tuple(problems),
        warnings=tuple(warnings),
    )


def read_versions(distributions: tuple[str, ...]) -> dict[str, str | None]:
    """The installed version of each distribution, None for one that is not installed."""
    return {name: _version(name) for name in distributions}


def read_extras() -> tuple[Extra, ...]:
    """The extras that bento-monitor offers its users, from its own metadata."""
    requirements = [Requirement(text) for text in metadata.requires(DISTRIBUTION) or ()]
    names = metadata.metadata(DISTRIBUTION).get_all("Provides-Extra") or ()
    return tuple(
        Extra(name, missing=tuple(each for each in sorted(_members(name, requirements)) if _version(each) is None))
        for name in sorted(names)
        if name not in _NOT_SHOWN
    )


def _requirement_of(distribution: str) -> str:
    found = (text for text in metadata.requires(DISTRIBUTION) or () if Requirement(text).name == distribution)
    return next(found, distribution)


def _members(extra: str, requirements: Sequence[Requirement]) -> set[str]:
    """The distributions that an extra brings, those of the extras that it consists of among them."""
    found: set[str] = set()
    for each in requirements:
        if each.marker is None or each.marker.evaluate({"extra": ""}) or not each.marker.evaluate({"extra": extra}):
            continue
        if each.name == DISTRIBUTION:
            found.update(*(_members(inner, requirements) for inner in each.extras))
        else:
            found.add(each.name)
    return found


def read_home(home: Path) -> HomeFolder:
    """Whether the folder, or the nearest one above it that exists, takes a file; nothing is left behind."""
    existing = next((folder for folder in (home, *home.parents) if folder.is_dir()), Path(os.sep))
    try:
        with tempfile.TemporaryFile(dir=existing):
            is_writable = True
    except OSError:
        is_writable = False
    return HomeFolder(str(home), is_writable, free_bytes=shutil.disk_usage(existing).free)


def describe_telemetry(telemetry: TelemetryEnvironment, home: HomeFolder | None) -> str:
    """Where spans go, in the words of the variables that decide it."""
    if telemetry.disabled:
        return "nowhere: OTEL_SDK_DISABLED is true"
    if "none" in telemetry.exporters:
        return "nowhere: OTEL_TRACES_EXPORTER is none"
    if telemetry.sends_otlp:
        return f"OTLP ({telemetry.traces.protocol}), to where the OTEL_EXPORTER_OTLP_* variables point"
    if telemetry.exporters:
        return f"where OTEL_TRACES_EXPORTER says: {', '.join(telemetry.exporters)}"
    return f"embedded store under {home.path}" if home else "embedded store"


def _read_providers(problems: list[str]) -> tuple[str, ...]:
    if missing_distributions("onnxruntime"):
        return ()  # what brings it is said of the extras
    try:
        import onnxruntime
    except ImportError as error:
        problems.append(f"ONNX Runtime cannot be imported ({error}): run pip install --force-reinstall onnxruntime.")
        return ()
    return tuple(onnxruntime.get_available_providers())


def _read_hooks(problems: list[str]) -> tuple[HookStatus, ...]:
    try:
        from .bentoml_hooks import check_hooks
    except ImportError as error:
        problems.append(
            f'BentoML cannot be imported ({error}): run pip install --force-reinstall "{_requirement_of("bentoml")}".'
        )
        return ()
    return tuple(check_hooks())


def _version(distribution: str) -> str | None:
    try:
        return metadata.version(distribution)
    except metadata.PackageNotFoundError:
        return None
