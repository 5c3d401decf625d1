"""Runtimes of towers: torch is the reference; a faster runtime is used if the machine has one."""

from encoders.runtime.policy import RuntimePolicy

__all__ = ["RuntimePolicy"]
