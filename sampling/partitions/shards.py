"""Where the candidates lie: shards of any size and number, on any store."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field

import pyarrow as pa

from sampling.errors import SamplingError
from sampling.partitions.errors import BadShard
from sampling.partitions.reading import Unreadable, mark_of, shown

Opinions = Mapping[str, str]


@dataclass(frozen=True, slots=True, kw_only=True)
class Shard:
    """Some of the candidates, in files that row by row belong together.

    A name is a column of `table`, a Parquet file; one that ends in .npy is the path of a file of
    its own. Paths are any that fsspec knows: `file://`, `s3://`, `memory://`, or plain ones.

    Args:
        table: the Parquet file, if there is one.
        ids: strings, one an item; no two alike in all shards.
        probabilities: a column of lists, an array (n, C), or the names of C columns of numbers.
        embeddings: a column of lists, or an array (n, D). None: there are none.
        groups, slices, seconds, passes, modalities, models: as in `Pool`; of the last three each
            name gives (n, C).
    """

    table: str | None = None
    ids: str = "item_id"
    probabilities: str | tuple[str, ...] = "probabilities"
    embeddings: str | None = None
    groups: str | None = None
    slices: str | None = None
    seconds: str | None = None
    passes: tuple[str, ...] = ()
    modalities: Opinions = field(default_factory=dict)
    models: Opinions = field(default_factory=dict)

    @property
    def name(self) -> str:
        """What messages call it."""
        return shown(self.table or self.ids)

    @property
    def opinions(self) -> dict[str, str]:
        """Column names of a part's table -> where each is."""
        return {
            **{f"passes:{at}": one for at, one in enumerate(self.passes)},
            **{f"modalities:{name}": one for name, one in self.modalities.items()},
            **{f"models:{name}": one for name, one in self.models.items()},
        }

    @property
    def files(self) -> list[str]:
        """Every file it is in."""
        single = [self.ids, self.embeddings, self.groups, self.slices, self.seconds]
        several = [*names_of(self.probabilities), *self.opinions.values()]
        arrays = {one for one in [*single, *several] if one and is_array(one)}
        return sorted({*arrays, self.table} - {None}, key=str)  # type: ignore[arg-type]


@contextmanager
def blamed_on(shard: Shard) -> Iterator[None]:
    """What goes wrong within is a `BadShard` that names it."""
    try:
        yield
    except BadShard:
        raise
    except (Unreadable, SamplingError) as cause:
        raise BadShard(shard.name, str(cause)) from cause
    except FileNotFoundError as cause:
        raise BadShard(shard.name, "a file went away while it was read; bring it back") from cause
    except pa.ArrowException as cause:
        raise BadShard(shard.name, "the file is damaged; write it again") from cause
    except OSError as cause:
        if cause.errno is not None:
            raise  # the store's own: it may pass
        # No system says this: Arrow does, of a page that it cannot unpack.
        raise BadShard(shard.name, "the file is damaged or cut off; write it again") from cause


def marks_of(shard: Shard) -> str:
    """Changes whenever one of its files does."""
    return "|".join(mark_of(one) for one in shard.files)


def is_array(name: str) -> bool:
    return name.split("?")[0].endswith(".npy")


def names_of(one: str | tuple[str, ...]) -> tuple[str, ...]:
    return (one,) if isinstance(one, str) else one
