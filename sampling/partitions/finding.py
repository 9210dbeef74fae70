"""The shards that a folder or a glob holds, on any fsspec store, and nothing outside it."""

from __future__ import annotations

import os
import posixpath
from collections.abc import Iterator, Mapping
from dataclasses import fields
from typing import Any

import fsspec
from fsspec.implementations.local import LocalFileSystem

from sampling.partitions.errors import BadShard
from sampling.partitions.reading import shown
from sampling.partitions.shards import Shard, is_array

_MAGIC = "*?["
_STEM = "{name}"


def find_shards(place: str, **columns: Any) -> list[Shard]:
    """One shard for each Parquet file of a folder (searched to the bottom), a glob or a path, in
    the order of their names; or, where `ids` is an array, for each folder that holds one so named.

    Args:
        columns: as in `Shard`, but for `table`. An array is named as it is called in the folder of
            its shard; `{name}` in it stands for the table's name without its ending.

    Raises:
        BadShard: nothing is there, or a name leads out of the place.
    """
    wrong = set(columns) - {one.name for one in fields(Shard)} | (set(columns) & {"table"})
    if wrong:
        raise TypeError(f"a shard has no {', '.join(sorted(wrong))}")
    try:
        store, path = fsspec.core.url_to_fs(place)
    except (ImportError, ValueError) as cause:
        raise BadShard(shown(place), f"{cause}; install what reads such a store") from cause
    ids = columns.get("ids", "item_id")
    wanted = posixpath.basename(ids) if is_array(ids) else ".parquet"
    found = sorted(_files(store, path, ending=wanted))
    if not found:
        raise BadShard(shown(place), f"holds no file that ends in {wanted}; check the path")
    root = _root(path)
    return [_shard(store, one, root, columns, is_table=not is_array(ids)) for one in found]


def _files(store: Any, path: str, *, ending: str) -> Iterator[str]:
    hits = store.glob(path) if _has_magic(path) else [path]
    for hit in hits:
        for one in store.find(hit) if store.isdir(hit) else [hit]:
            name = posixpath.basename(one)
            # Names that start so are other programs' notes (_SUCCESS, .crc).
            is_named = name == ending if not ending.startswith(".") else name.endswith(ending)
            if is_named and name[0] not in "._" and store.isfile(one):
                yield one


def _shard(
    store: Any, file: str, root: str, columns: Mapping[str, Any], *, is_table: bool
) -> Shard:
    folder, name = posixpath.split(file)
    stem = name.rpartition(".")[0]

    def beside(one: Any) -> Any:
        if isinstance(one, Mapping):
            return {key: beside(value) for key, value in one.items()}
        if isinstance(one, tuple):
            return tuple(beside(value) for value in one)
        if not isinstance(one, str) or not is_array(one):
            return one
        if posixpath.basename(one) != one:
            raise BadShard(shown(file), f"{one} is no plain file name; keep arrays beside it")
        return _within(store, posixpath.join(folder, one.replace(_STEM, stem)), root)

    given = {key: beside(value) for key, value in columns.items()}
    return Shard(**given, table=_within(store, file, root) if is_table else None)


def _within(store: Any, path: str, root: str) -> str:
    """The file's URL.

    Raises:
        BadShard: it lies elsewhere, behind a link.
    """
    if isinstance(store, LocalFileSystem):
        real, above = os.path.realpath(path), os.path.realpath(root)
        if os.path.commonpath([real, above]) != above:
            raise BadShard(path, f"is a link out of {root}; copy the file there")
        return path
    url: str = store.unstrip_protocol(path)
    return url


def _root(path: str) -> str:
    """The folder below which everything has to lie."""
    if not _has_magic(path):
        return path if not path.endswith((".parquet", ".npy")) else posixpath.dirname(path)
    plain = path[: min(path.index(one) for one in _MAGIC if one in path)]
    return posixpath.dirname(plain)


def _has_magic(path: str) -> bool:
    return any(one in path for one in _MAGIC)
