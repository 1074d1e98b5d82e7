"""Webhooks in: whose they are, and which of our events they stand for, as files say."""

from api.hooks.definition import Hook, load_hooks, read_hook
from api.hooks.mapping import Delivery, Mapped
from api.hooks.reader import HookReader

__all__ = ["Delivery", "Hook", "HookReader", "Mapped", "load_hooks", "read_hook"]
