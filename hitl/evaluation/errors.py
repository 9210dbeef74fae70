"""What this room says no with. Trying again without a change will not help with any of them."""

from __future__ import annotations

from collections.abc import Iterable

from hitl.errors import Refused


class UnknownMetric(Refused):
    """Nobody taught us to estimate this."""

    def __init__(self, metric: str, known: Iterable[str]) -> None:
        super().__init__(f"metric {metric!r} is unknown; use one of {', '.join(known)}")
        self.metric = metric


class BadArrays(Refused):
    """Arrays of the same items do not fit together, or hold impossible numbers."""

    def __init__(self, name: str, problem: str) -> None:
        super().__init__(f"{name}: {problem}")
        self.name = name


class BadLevel(Refused):
    """A confidence, a target or a count that no answer can be given for."""

    def __init__(self, name: str, value: float, wanted: str) -> None:
        super().__init__(f"{name} is {value}; write {wanted}")
        self.name = name
        self.value = value
