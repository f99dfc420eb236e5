"""The only code that uses private parts of BentoML and uvicorn; an unsupported hook is disabled."""

from .hooks import HookStatus, check_hooks, is_supported

__all__ = ["HookStatus", "check_hooks", "is_supported"]
