"""A cache of the JSON schemas of an API, which BentoML rebuilds for each request to read one word of them."""

from __future__ import annotations

from typing import Any

from _bentoml_sdk.io_models import IORootModel

_REMEMBERS = "__bento_monitor_remembers__"


def remember_schemas(method: Any) -> None:
    """Make the descriptors of an `APIMethod` cache what BentoML reads from their schema; idempotent."""
    for spec, remember in ((method.output_spec, _remember_mime_type), (method.input_spec, _remember_schema)):
        # Not inherited: a subclass has a schema of its own.
        if _REMEMBERS not in vars(spec):
            try:
                remember(spec)
            except Exception:  # noqa: S112 - a type without a schema: the error is left to BentoML
                continue
            setattr(spec, _REMEMBERS, True)


def _remember_mime_type(spec: Any) -> None:
    build, known = spec.mime_type, spec.mime_type()

    def mime_type(cls: Any) -> Any:
        return known if cls is spec else build.__func__(cls)

    spec.mime_type = classmethod(mime_type)


def _remember_schema(spec: Any) -> None:
    if not issubclass(spec, IORootModel):
        return
    build, known = spec.model_json_schema, spec.model_json_schema()

    def model_json_schema(cls: Any, *args: Any, **kwargs: Any) -> Any:
        is_asked_plainly = cls is spec and not args and not kwargs
        return dict(known) if is_asked_plainly else build.__func__(cls, *args, **kwargs)

    spec.model_json_schema = classmethod(model_json_schema)
