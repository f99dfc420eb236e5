"""Error responses in BentoML's format."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

_HIDDEN = {"error": "An unexpected error has occurred, please check the server log."}


def error_response(error: Exception, request: Any, log_exception: Callable[[Any], None]) -> Any:
    """Log `error`, which is being handled, and return its response."""
    from bentoml.exceptions import BentoMLException
    from pydantic import ValidationError
    from starlette.responses import JSONResponse

    log_exception(request)
    if isinstance(error, ValidationError):
        detail = {
            "error": f"{error.error_count()} validation error for {error.title}",
            "detail": error.errors(include_context=False, include_input=False),
        }
        return JSONResponse(detail, status_code=400)
    if not isinstance(error, BentoMLException):
        return JSONResponse(_HIDDEN, status_code=500)
    status = int(error.error_code.value)
    if status in (401, 403):
        return JSONResponse({"error": "Authorization error"}, status_code=status)
    if status >= 500:
        return JSONResponse(_HIDDEN, status_code=status)
    # BentoML sends a list of one object here, and its clients expect that.
    return JSONResponse(({"error": str(error)},), status_code=status)
