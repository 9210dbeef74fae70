"""What this package says no with. Trying again without a change will not help with any of them."""

from __future__ import annotations

from collections.abc import Iterable


class SamplingError(ValueError):
    """The request cannot be answered as it was made."""


class BadPool(SamplingError):
    """The arrays of a pool do not fit together, or an item is in it twice."""


class BadProbabilities(SamplingError):
    """A probability is missing, out of range, or a row of exclusive ones does not add up to 1."""

    def __init__(self, item_id: str, column: int | None, problem: str) -> None:
        where = f"item {item_id}" if column is None else f"item {item_id}, category column {column}"
        super().__init__(f"{where}: {problem}")
        self.item_id = item_id
        self.column = column


class BadEmbedding(SamplingError):
    """An embedding holds a number that is not finite."""

    def __init__(self, item_id: str, column: int) -> None:
        super().__init__(
            f"item {item_id}, embedding column {column}: the number is not finite; "
            "embed the item again, or give it a row of zeros (nothing is known)"
        )
        self.item_id = item_id
        self.column = column


class BadWorth(SamplingError):
    """A worth cannot be turned into a probability of being chosen."""

    def __init__(self, pool_row: int, problem: str) -> None:
        super().__init__(f"row {pool_row}: {problem}")
        self.pool_row = pool_row


class BadBudget(SamplingError):
    """The budget, floor or limit cannot be met."""


class BadPlan(SamplingError):
    """The shares of a plan do not add up, or two have one name."""


class UnknownStrategy(SamplingError):
    """A plan names a strategy that does not exist."""

    def __init__(self, name: str, known: Iterable[str], wrappers: Iterable[str] = ()) -> None:
        super().__init__(
            f"strategy {name!r} does not exist; write one of: {', '.join(known)}"
            + "".join(f"; {wrapper}: may stand before any of them" for wrapper in wrappers)
        )
        self.name = name
