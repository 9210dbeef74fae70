"""What training and loading a model can say no with."""

from __future__ import annotations

from pathlib import Path

from hitl.errors import Malformed, Refused


class NothingToLearn(Refused):
    """There is no example, or no known label for any category asked for."""

    def __init__(self, *, examples: int, categories: int) -> None:
        super().__init__(
            f"training: {examples} examples hold no label for any of {categories} categories; "
            "collect labels first, or check that the recipe's categories are the policy's"
        )
        self.examples = examples
        self.categories = categories


class BadRecipe(Refused):
    """A training recipe value cannot be used."""

    def __init__(self, field: str, value: object, wanted: str) -> None:
        super().__init__(f"training recipe: {field} is {value!r}; write {wanted}")
        self.field = field


class BadExample(Malformed):
    """One example carries a label or weight that cannot be learned from."""

    def __init__(self, item_id: str, reason: str) -> None:
        super().__init__(f"example {item_id}: {reason}; mend or leave out this example")
        self.item_id = item_id


class BadBundle(Refused):
    """A folder is not a model bundle that we can trust or read."""

    def __init__(self, folder: Path, reason: str) -> None:
        super().__init__(f"bundle {folder.name}: {reason}")
        self.folder = folder
