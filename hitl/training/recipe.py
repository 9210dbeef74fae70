"""Every value that changes what training makes of the same examples."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from hitl.training.errors import BadRecipe


def _at_least(recipe: object, least: Mapping[str, float]) -> None:
    for name, value in least.items():
        found = getattr(recipe, name)
        if not found >= value:
            raise BadRecipe(name, found, f"at least {value:g}")


@dataclass(frozen=True, slots=True, kw_only=True)
class FeatureRecipe:
    """Which n-grams a text is turned into.

    `bits`: each block (words, characters) hashes into 2**bits buckets. A bucket is kept when
    `min_items` training texts have it, the most frequent `max_*_buckets` of them.
    `max_characters`: a longer text is cut there, so that one text costs a bounded time.
    """

    word_grams: int = 2
    char_grams: tuple[int, int] = (2, 5)
    bits: int = 20
    min_items: int = 2
    max_word_buckets: int = 60_000
    max_char_buckets: int = 200_000
    max_characters: int = 10_000

    def __post_init__(self) -> None:
        least = {"word_grams": 1, "bits": 4, "min_items": 1, "max_characters": 1}
        _at_least(self, least | {"max_word_buckets": 1, "max_char_buckets": 1})
        if self.bits > 24:
            raise BadRecipe("bits", self.bits, "24 at most")
        if not 2 <= self.char_grams[0] <= self.char_grams[1]:
            raise BadRecipe("char_grams", self.char_grams, "(least, most) with 2 <= least <= most")


@dataclass(frozen=True, slots=True, kw_only=True)
class TrainingRecipe:
    """How the text model is trained.

    `categories`: the order of C in every result. `plain_c` and `ratio_c`: inverse penalty of the
    two heads, as in `c * sum(loss) + |w|^2 / 2`. `ratio_shares`: the shares of the ratio head
    that are weighed against each other on unseen rows; `prior_*` the same of what an earlier model
    decided, category by category. Half at most: a model that says what the earlier one said finds
    the same items doubtful, and selection learns less (docs/adr/0006).
    `folds`: of which as many are held out in turn as give `unseen_rows` rows to calibrate on.
    `pooled_below`: fewer unseen positives or negatives than this, and a category shares its
    calibration. `tolerance`: where the solver stops, as a share of the first gradient;
    `fold_tolerance` the same for the held-out twins.
    `embedding_*`: axes, and how many columns and rows they are learned from.
    """

    categories: tuple[str, ...]
    features: FeatureRecipe = FeatureRecipe()
    plain_c: float = 3.0
    ratio_c: float = 1.0
    ratio_shares: tuple[float, ...] = (0.0, 0.25, 0.5, 0.75, 1.0)
    prior_c: float = 1.0
    prior_tolerance: float = 1e-2
    prior_shares: tuple[float, ...] = (0.0, 0.1, 0.2, 0.3, 0.4, 0.5)
    folds: int = 5
    unseen_rows: int = 3_000
    pooled_below: int = 30
    tolerance: float = 1e-3
    fold_tolerance: float = 3e-2
    max_steps: int = 40
    embedding_dimensions: int = 256
    embedding_buckets: int = 8_192
    embedding_rows: int = 4_000
    threads: int = 1

    def __post_init__(self) -> None:
        if not self.categories or len(set(self.categories)) < len(self.categories):
            raise BadRecipe("categories", self.categories, "one or more, none twice")
        least = {"folds": 2, "unseen_rows": 1, "pooled_below": 1, "max_steps": 1, "threads": 1}
        positive = (
            "plain_c", "ratio_c", "prior_c", "tolerance", "fold_tolerance", "prior_tolerance",
        )  # fmt: skip
        sizes = ("embedding_dimensions", "embedding_buckets", "embedding_rows")
        _at_least(self, least | dict.fromkeys(positive, 1e-9) | dict.fromkeys(sizes, 1))
        for name in ("ratio_shares", "prior_shares"):
            shares = getattr(self, name)
            if not shares or not all(0 <= share <= 1 for share in shares):
                raise BadRecipe(name, shares, "one or more numbers from 0 to 1")
