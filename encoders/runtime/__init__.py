"""Ways to run a tower: torch is the reference, and what a machine has a faster way for is prepared for that."""

from encoders.runtime.policy import RuntimePolicy

__all__ = ["RuntimePolicy"]
