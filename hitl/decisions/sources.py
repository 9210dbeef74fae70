"""Where rows come from: a file, a folder, a glob, an fsspec URL; opened one after another."""

from __future__ import annotations

import lzma
import zlib
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import PurePosixPath
from typing import IO, Any, Protocol
from urllib.parse import urlsplit

import fsspec
import pyarrow as pa
from fsspec.implementations.local import LocalFileSystem

from hitl.decisions.chunks import Chunk, Column, Read, in_chunks
from hitl.decisions.errors import (
    BadQuery,
    SourceNotFound,
    SourceUnavailable,
    UnknownFormat,
    UnreadableSource,
)
from hitl.decisions.files import read_delimited, read_json_lines, read_parquet
from hitl.decisions.sql_source.store import SqlSource

FORMATS = (".parquet", ".csv", ".tsv", ".jsonl", ".ndjson")
_COMPRESSIONS = (".gz", ".bz2", ".xz")
_MAGIC = frozenset("*?[")


class Source(Protocol):
    """Something with rows. `name` is what rejects and conflicts call it; it holds no secret."""

    @property
    def name(self) -> str: ...

    def read(self, wanted: Sequence[Column]) -> Iterator[Read]: ...


@dataclass(frozen=True)
class FileSource:
    """One file on any filesystem that fsspec knows."""

    name: str
    path: str
    filesystem: Any

    def read(self, wanted: Sequence[Column]) -> Iterator[Read]:
        """Its rows, in order.

        Raises:
            MissingColumns, SourceNotFound, SourceUnavailable, UnreadableSource.
        """
        line = 0
        try:
            with self._open() as handle:
                for one in self._rows(handle, wanted):
                    line = getattr(one, "line", line)
                    yield one
        except (pa.ArrowException, zlib.error, lzma.LZMAError, EOFError) as cause:
            # Arrow's own message may quote what it stumbled over.
            why = f"damaged or cut off ({type(cause).__name__})"
            raise UnreadableSource(self.name, why, after_line=line) from None
        except FileNotFoundError as cause:
            raise SourceNotFound(self.name, "was there a moment ago and is gone") from cause
        except PermissionError as cause:
            raise SourceNotFound(self.name, "may not be read; give this user the right") from cause
        except OSError as cause:
            if type(cause).__name__ == "BadGzipFile" or "Invalid data stream" in str(cause):
                why = "its name says it is compressed and it is not"
                raise UnreadableSource(self.name, why, after_line=line) from None
            raise SourceUnavailable(self.name, type(cause).__name__) from cause

    def _open(self) -> IO[bytes]:
        compression = "infer" if self.path.endswith(_COMPRESSIONS) else None
        handle: IO[bytes] = self.filesystem.open(self.path, "rb", compression=compression)
        return handle

    def _rows(self, handle: IO[bytes], wanted: Sequence[Column]) -> Iterator[Read]:
        match format_of(self.path):
            case ".parquet":
                if not handle.read(1):
                    return iter(())
                handle.seek(0)
                return read_parquet(handle, self.name, wanted)
            case ".csv":
                return read_delimited(handle, self.name, wanted, delimiter=",")
            case ".tsv":
                return read_delimited(handle, self.name, wanted, delimiter="\t")
            case _:
                return read_json_lines(handle, self.name, wanted)


def find_sources(source: str, *, query: str | None = None) -> list[Source]:
    """Everything that `source` names, in the order of its names.

    Args:
        source: a path, a folder (searched to the bottom), a glob or an fsspec URL; with `query`,
            a SQLAlchemy URL, which may start with `sql+`.

    Raises:
        SourceNotFound: nothing is there.
        UnknownFormat: its name does not say how to read it.
        BadQuery: a URL without a query, or the other way round.
    """
    if query is not None:
        return [SqlSource.from_url(source.removeprefix("sql+"), query)]
    if source.startswith("sql+"):
        raise BadQuery(shown(source), "a database needs a query; add --query 'SELECT …'")
    try:
        filesystem, path = fsspec.core.url_to_fs(source)
        found = _files(filesystem, path, source)
    except ImportError as cause:
        raise SourceNotFound(shown(source), f"{cause}; install it beside hitl") from cause
    except ValueError as cause:
        why = "no filesystem of that kind; write a path, or a URL such as s3:// or file://"
        raise SourceNotFound(shown(source), why) from cause
    except OSError as cause:
        raise SourceUnavailable(shown(source), type(cause).__name__) from cause
    return [FileSource(_name(filesystem, one), one, filesystem) for one in found]


def _files(filesystem: Any, path: str, source: str) -> list[str]:
    if filesystem.isfile(path):
        if format_of(path) is None:
            raise UnknownFormat(shown(source), FORMATS)
        return [path]
    if filesystem.isdir(path):
        found = filesystem.find(path)
        empty = "is a folder with nothing in it"
    elif _MAGIC & set(path):
        found = filesystem.glob(path)
        empty = "no file has a name like that"
    else:
        raise SourceNotFound(shown(source), "no such file or folder; check the path")
    if not found:
        raise SourceNotFound(shown(source), empty)
    # Names that start so are other programs' notes (_SUCCESS, .crc), not rows.
    readable = [one for one in found if format_of(one) and PurePosixPath(one).name[0] not in "._"]
    if not readable:
        raise UnknownFormat(shown(source), FORMATS)
    return sorted(readable)


def format_of(path: str) -> str | None:
    """The ending that says how to read a file, without its compression; None if none does."""
    bare = path.lower().split("?")[0]
    for compression in _COMPRESSIONS:
        if bare.endswith(compression):
            bare = bare.removesuffix(compression)
            # Parquet compresses inside, and must be read from its end.
            return next((one for one in FORMATS[1:] if bare.endswith(one)), None)
    return next((one for one in FORMATS if bare.endswith(one)), None)


def shown(source: str) -> str:
    """A source as messages and rows may name it: without password and signed query."""
    parts = urlsplit(source)
    if not parts.scheme or not parts.netloc:
        return source
    user, at, host = parts.netloc.rpartition("@")
    if ":" in user:
        user = user.split(":")[0] + ":***"
    return parts._replace(netloc=user + at + host, query="", fragment="").geturl()


def _name(filesystem: Any, path: str) -> str:
    # Local files by their absolute path: the same file has one name from every folder.
    if isinstance(filesystem, LocalFileSystem):
        return path
    return shown(filesystem.unstrip_protocol(path))


def read_chunks(
    source: Source, wanted: Sequence[Column], *, rows_per_chunk: int
) -> Iterator[Chunk]:
    """A source's rows, a transaction's worth at a time; memory does not grow with the source."""
    return in_chunks(source.read(wanted), wanted, rows_per_chunk=rows_per_chunk)
