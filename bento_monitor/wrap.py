"""The target that `bento-monitor serve` gives to BentoML: the user's service, monitored, with no change to its code."""

from pathlib import Path as _Path

from .bentoml_hooks.services import load_service as _load_service
from .errors import InputError as _InputError
from .service import monitored as _monitored
from .settings import load_settings as _load_settings

_settings = _load_settings()
if _settings.target is None:
    raise _InputError("BENTO_MONITOR_TARGET is not set: use bento-monitor serve module:Service.")

service = _monitored(_load_service(_settings.target, _Path.cwd()))
if _settings.workers is not None:
    service.config["workers"] = _settings.workers
