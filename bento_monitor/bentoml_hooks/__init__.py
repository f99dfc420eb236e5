"""The only code that touches BentoML's private parts; each touch is checked first, and can step aside."""

from .status import HookStatus, check_hooks, holds

__all__ = ["HookStatus", "check_hooks", "holds"]
