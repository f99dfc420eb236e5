"""The facts that `bento-monitor doctor` shows: installed packages, destination of telemetry, supported hooks."""

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
from .tracing.export.plain_text import plain_text_warning

if TYPE_CHECKING:
    from .integrations import HookStatus

DISTRIBUTION = "bento-monitor"
_NOT_SHOWN = frozenset({"all", "bench", "dev"})  # extras that no user needs, and the union of all extras
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
    """An extra of bento-monitor; `missing` names its distributions that are not installed."""

    name: str
    missing: tuple[str, ...]

    @property
    def install_command(self) -> str:
        """The command that installs the extra."""
        return install_command(self.name)


@dataclass(frozen=True, slots=True)
class HomeFolder:
    """The folder that holds traces, pointers and worker states."""

    path: str
    is_writable: bool
    free_bytes: int


@dataclass(frozen=True, slots=True)
class Installation:
    """The state of an installation.

    `problems` holds one sentence for each fault that must be fixed; `warnings` holds those that can wait.
    """

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
    """Read installed packages, settings and hooks; anything unusable becomes a problem or warning, not an exception."""
    problems: list[str] = []
    settings, setting_problems = read_settings()
    problems += [f"{problem.text}: change it, or unset it." for problem in setting_problems if problem.is_refused]
    warnings = [problem.warning for problem in setting_problems if not problem.is_refused]
    home = read_home(settings.home)
    if not home.is_writable:
        problems.append(f"The home folder {home.path} is not writable: set BENTO_MONITOR_HOME to a writable one.")
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
    """Return the installed version of each distribution; None for one that is not installed."""
    return {name: _version(name) for name in distributions}


def read_extras() -> tuple[Extra, ...]:
    """Return the extras that users can install, from the metadata of bento-monitor."""
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
    """Return the distributions that an extra installs, including those of nested extras."""
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
    """Check that a file can be written to `home`, or to its nearest existing parent; leave no file behind."""
    existing = next((folder for folder in (home, *home.parents) if folder.is_dir()), Path(os.sep))
    try:
        with tempfile.TemporaryFile(dir=existing):
            is_writable = True
    except OSError:
        is_writable = False
    return HomeFolder(str(home), is_writable, free_bytes=shutil.disk_usage(existing).free)


def describe_telemetry(telemetry: TelemetryEnvironment, home: HomeFolder | None) -> str:
    """Describe where spans go, naming the variable that decides."""
    if telemetry.disabled:
        return "nowhere: OTEL_SDK_DISABLED is true"
    if "none" in telemetry.exporters:
        return "nowhere: OTEL_TRACES_EXPORTER is none"
    if telemetry.sends_otlp:
        return f"OTLP ({telemetry.traces.protocol}), to the endpoint in the OTEL_EXPORTER_OTLP_* variables"
    if telemetry.exporters:
        return f"exporters in OTEL_TRACES_EXPORTER: {', '.join(telemetry.exporters)}"
    return f"embedded store under {home.path}" if home else "embedded store"


def _read_providers(problems: list[str]) -> tuple[str, ...]:
    if missing_distributions("onnxruntime"):
        return ()  # the extras show how to install it
    try:
        import onnxruntime
    except ImportError as error:
        problems.append(f"ONNX Runtime cannot be imported ({error}): run pip install --force-reinstall onnxruntime.")
        return ()
    return tuple(onnxruntime.get_available_providers())


def _read_hooks(problems: list[str]) -> tuple[HookStatus, ...]:
    try:
        from .integrations import check_hooks
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
