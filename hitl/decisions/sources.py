"""Where rows come from: a file, a folder, a glob, an fsspec URL; opened one after another."""

from __future__ import annotations

import hashlib
import json
import lzma
import re
import zlib
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import PurePosixPath
from typing import IO, Any, Protocol

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
from hitl.decisions.files import read_delimited, read_json_lines
from hitl.decisions.parquet import read_parquet
from hitl.decisions.sql_source.store import SqlSource

FORMATS = (".parquet", ".csv", ".tsv", ".jsonl", ".ndjson")
_COMPRESSIONS = {".gz": "gzip", ".bz2": "bz2", ".xz": "xz"}
# By which of these a filesystem tells that a file was written anew.
_MARKS = ("mtime", "created", "ino", "ETag", "etag", "LastModified", "last_modified", "md5Hash")
_TAIL = 64 * 1024
_MAGIC = frozenset("*?[")
_TOKEN_SCHEMES = ("http", "https")  # where a name alone before the @ is a token


class Source(Protocol):
    """Something with rows. `name` is what rejects and conflicts call it; it holds no secret."""

    @property
    def name(self) -> str: ...

    def read(self, wanted: Sequence[Column], *, after_line: int = 0) -> Iterator[Read]: ...

    def fingerprint(self) -> str | None: ...


@dataclass(frozen=True)
class FileSource:
    """One file on any filesystem that fsspec knows."""

    name: str
    path: str = field(repr=False)  # may hold a signed query
    filesystem: Any = field(repr=False)

    def read(self, wanted: Sequence[Column], *, after_line: int = 0) -> Iterator[Read]:
        """Its rows, in order; some of those up to `after_line` may be passed over.

        Raises:
            MissingColumns, SourceNotFound, SourceUnavailable, UnreadableSource.
        """
        line = 0
        try:
            with self._open() as handle:
                for one in self._rows(handle, wanted, after_line):
                    line = getattr(one, "line", line)
                    yield one
        except (pa.ArrowException, zlib.error, lzma.LZMAError, EOFError, UnicodeError) as cause:
            # Arrow's own message may quote what it stumbled over.
            why = f"damaged or cut off ({type(cause).__name__})"
            raise UnreadableSource(self.name, why, after_line=line) from None
        except FileNotFoundError:
            raise SourceNotFound(self.name, "was there a moment ago and is gone") from None
        except PermissionError:
            raise SourceNotFound(self.name, "may not be read; give this user the right") from None
        except OSError as cause:
            if type(cause).__name__ == "BadGzipFile" or "Invalid data stream" in str(cause):
                why = "its name says it is compressed and it is not"
                raise UnreadableSource(self.name, why, after_line=line) from None
            if type(cause) is OSError and cause.errno is None:
                # No system says this: Arrow does, of a page that it cannot unpack.
                raise UnreadableSource(self.name, "damaged", after_line=line) from None
            raise SourceUnavailable(self.name, type(cause).__name__) from None

    def fingerprint(self) -> str | None:
        """What tells these bytes from others under this name; None where nothing does.

        Its size, when it was written, the mark that a store gives it, and its last bytes.
        """
        try:
            about = self.filesystem.info(self.path)
            marks = {name: str(about[name]) for name in _MARKS if about.get(name) is not None}
            if not marks or not about.get("size"):
                return None
            ends = self.filesystem.tail(self.path, _TAIL)
        except (OSError, NotImplementedError, ValueError):
            return None  # the reading itself says what is wrong
        said = json.dumps([about["size"], sorted(marks.items()), hashlib.sha256(ends).hexdigest()])
        return hashlib.sha256(said.encode()).hexdigest()

    def _open(self) -> IO[bytes]:
        compression = _COMPRESSIONS.get(PurePosixPath(_bare(self.path)).suffix)
        handle: IO[bytes] = self.filesystem.open(self.path, "rb", compression=compression)
        return handle

    def _rows(self, handle: IO[bytes], wanted: Sequence[Column], after_line: int) -> Iterator[Read]:
        match format_of(self.path):
            case ".parquet":
                if not handle.read(1):
                    return iter(())
                handle.seek(0)
                return read_parquet(handle, self.name, wanted, after_line=after_line)
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
    except ValueError:
        why = "no filesystem of that kind; write a path, or a URL such as s3:// or file://"
        raise SourceNotFound(shown(source), why) from None
    except OSError as cause:
        raise SourceUnavailable(shown(source), type(cause).__name__) from None
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
        found = _below(filesystem, filesystem.glob(path, detail=True))
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


def _below(filesystem: Any, hits: dict[str, Any]) -> list[str]:
    """The files that a glob hits, and those in folders that it hits: Spark writes folders."""
    found: dict[str, None] = {}
    for path, about in hits.items():
        is_folder = about["type"] == "directory"
        found.update(dict.fromkeys(filesystem.find(path) if is_folder else [path]))
    return list(found)


def format_of(path: str) -> str | None:
    """The ending that says how to read a file, without its compression; None if none does."""
    bare = PurePosixPath(_bare(path))
    if bare.suffix in _COMPRESSIONS:
        # Parquet compresses inside, and must be read from its end.
        return next((one for one in FORMATS[1:] if bare.stem.endswith(one)), None)
    return next((one for one in FORMATS if bare.name.endswith(one)), None)


def _bare(path: str) -> str:
    """In lower case, and without the query of a signed URL."""
    return (path.split("?")[0] if "://" in path else path).lower()


def shown(source: str) -> str:
    """A source as messages and rows may name it: without password, token and signed query.

    A chain such as `simplecache::https://…` is cleaned link by link.
    """
    return "::".join(_shown(link) for link in source.split("::"))


def _shown(link: str) -> str:
    scheme, there, rest = link.partition("://")
    if not there:
        return link
    # A password may hold / ? and #, so the host begins after the last @; unless it is plainly
    # there before, and the @ belongs to the path.
    host = re.match(r"[^/?#@:]*(?=[/?#]|$)", rest)
    user, at, place = ("", "", rest) if host else rest.rpartition("@")
    if ":" in user:
        user = user.split(":")[0] + ":***"
    elif at and scheme in _TOKEN_SCHEMES:
        user = "***"
    return f"{scheme}://{user}{at}{re.split('[?#]', place)[0]}"


def _name(filesystem: Any, path: str) -> str:
    # Local files by their absolute path: the same file has one name from every folder.
    if isinstance(filesystem, LocalFileSystem):
        return path
    return shown(filesystem.unstrip_protocol(path))


def read_chunks(
    source: Source, wanted: Sequence[Column], *, rows_per_chunk: int, after_line: int = 0
) -> Iterator[Chunk]:
    """A source's rows, a transaction's worth at a time; memory does not grow with the source.

    Those up to `after_line` are left out.
    """
    rows = source.read(wanted, after_line=after_line)
    return in_chunks(rows, wanted, rows_per_chunk=rows_per_chunk, after_line=after_line)
