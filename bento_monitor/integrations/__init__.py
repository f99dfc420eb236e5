"""The only code that touches BentoML's private parts; each touch is checked first, and can step aside."""

from .hooks import HookStatus, check_hooks, is_supported

__all__ = ["HookStatus", "check_hooks", "is_supported"]
