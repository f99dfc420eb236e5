"""Why a service cannot be imported, in one sentence: BentoML's own error also mentions bentos and its store."""

from __future__ import annotations

import importlib
import re
import sys
from pathlib import Path
from typing import Any

_MAX_CHARS = 300
_OBJECT_REPR = re.compile(r"<[\w.]+ object at 0x[0-9a-f]+>")


def explain_import_error(target: str, error: BaseException, working_dir: Path) -> str:
    """Return why `module:Service` cannot be imported from `working_dir`, after `bentoml.load` raised `error`."""
    from bentoml.exceptions import ImportServiceError

    module_name, separator, name = target.partition(":")
    if not separator or not module_name or not name:
        return "write it as module:Service, such as service:Summarizer"
    if not isinstance(error, ImportServiceError | TypeError):
        return error_text(error)
    path = str(working_dir)  # BentoML looked here during the load only
    sys.path.insert(0, path)
    try:
        module = importlib.import_module(module_name)
    except (Exception, SystemExit) as own_error:
        return error_text(own_error)
    finally:
        sys.path.remove(path)
    if not hasattr(module, name):
        return f"the module {module_name} has no {name!r}{_services_of(module)}"
    if not is_service(getattr(module, name)):
        return f"{name} is not decorated with @bentoml.service, so it cannot be monitored{_services_of(module)}"
    return error_text(error)


def is_service(found: Any) -> bool:
    """Whether `found` is a service of BentoML's current kind (`@bentoml.service`)."""
    return hasattr(found, "apis") and hasattr(found, "inner")


def error_text(error: BaseException) -> str:
    """Return an error as one line of at most 300 characters."""
    if isinstance(error, SystemExit):
        return f"it ends the process, with the exit code {error.code}"
    text = " ".join(_OBJECT_REPR.sub("(an object)", f"{type(error).__name__}: {error}").split()).rstrip(":.")
    return text if len(text) <= _MAX_CHARS else text[: _MAX_CHARS - 2].rstrip() + ".."  # the caller adds the third dot


def _services_of(module: Any) -> str:
    from _bentoml_sdk import Service

    names = sorted(name for name, value in vars(module).items() if isinstance(value, Service))
    return f" (it has the services: {', '.join(names)})" if names else ""
