"""One folder holds everything the embedded servers own: secrets, ports, who runs, logs."""

from __future__ import annotations

import hashlib
import json
import os
import random
import secrets
import socket
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from filelock import FileLock, Timeout

from hitl.services.errors import Busy, StateFolderRefused

LOCK_WAIT_SECONDS = 900.0
# Below the range from which the system hands out ports by itself (32768 and up), so that a
# stopped server's remembered port is not lost to somebody's outgoing connection.
_PORTS = range(20_000, 30_000)
_ROTATE_BYTES = 20_000_000


class StateFolder:
    """The folder and its small files. Nothing here starts or stops anything."""

    def __init__(self, path: Path) -> None:
        self.path = Path(os.path.abspath(path))

    def prepare(self) -> StateFolder:
        """Create the folder (0700) if it is not there. Never touches one that is.

        Raises:
            StateFolderRefused: it cannot be created or written, or is not a folder.
        """
        try:
            if not self.path.exists():
                self.path.parent.mkdir(parents=True, exist_ok=True)
                self.path.mkdir(mode=0o700, exist_ok=True)
                self._write("made.json", {"mode": "0700"})
            self.folder("logs")
        except (NotADirectoryError, FileExistsError) as cause:
            raise StateFolderRefused(
                self.path, "is in the way of a file; choose another"
            ) from cause
        except OSError as cause:
            what = f"cannot be written ({cause.strerror}); choose another with HITL_STATE"
            raise StateFolderRefused(self.path, what) from cause
        return self

    def folder(self, *names: str) -> Path:
        """A folder within, made (0700) if it is missing."""
        made = self.path
        for name in names:
            made /= name
            made.mkdir(mode=0o700, exist_ok=True)
        return made

    @property
    def is_ours(self) -> bool:
        """Whether this program made the folder, and so may set its permissions."""
        return (self.path / "made.json").exists()

    @property
    def id(self) -> str:
        """A random name that stays with the folder when it moves."""
        return self.secret("state_id", lambda: secrets.token_hex(8))

    @property
    def marker(self) -> str:
        """The id if there is one yet; never writes."""
        return str(self._read("secrets.json").get("state_id", ""))

    def secret(self, name: str, make: Callable[[], str]) -> str:
        """The remembered secret, made once."""
        known = self._read("secrets.json")
        if name not in known:
            known[name] = make()
            self._write("secrets.json", known)
        return str(known[name])

    def known_secret(self, name: str) -> str | None:
        """The secret if it was made before; never writes."""
        return self._read("secrets.json").get(name)

    def known_port(self, name: str) -> int | None:
        """The remembered port, free or not; never writes."""
        return self._read("ports.json").get(name)

    def port(self, name: str, *, avoid: frozenset[int] = frozenset()) -> int:
        """The remembered port if it is free now, or else a free one, remembered from here on.

        To be asked only while the server that owns the port is not running.
        """
        known = self._read("ports.json")
        remembered = known.get(name)
        taken = avoid | {port for other, port in known.items() if other != name}
        if remembered is not None and remembered not in avoid and is_free(remembered):
            return int(remembered)
        known[name] = free_port(seed=f"{self.path}:{name}", avoid=taken)
        self._write("ports.json", known)
        return int(known[name])

    def note(self, name: str) -> dict[str, Any]:
        """A small remembered record (`{}` if there is none)."""
        return self._read(f"{name}.json")

    def write_note(self, name: str, body: dict[str, Any]) -> None:
        """Remember a small record, whole or not at all."""
        self._write(f"{name}.json", body)

    def log(self, name: str) -> Path:
        """Where this server's output goes."""
        return self.path / "logs" / f"{name}.log"

    def open_log(self, name: str) -> int:
        """A file descriptor to append to; a large log moves aside first."""
        path = self.log(name)
        path.parent.mkdir(mode=0o700, exist_ok=True)
        if path.exists() and path.stat().st_size > _ROTATE_BYTES:
            path.replace(path.with_suffix(".log.1"))
        return os.open(path, os.O_WRONLY | os.O_CREAT | os.O_APPEND, 0o600)

    @contextmanager
    def locked(
        self,
        name: str,
        *,
        wait_seconds: float = LOCK_WAIT_SECONDS,
        on_wait: Callable[[str], None] = lambda _: None,
    ) -> Iterator[None]:
        """Hold the folder's lock of this name. The system frees it when its holder dies.

        `on_wait` hears of a holder that makes us wait.

        Raises:
            Busy: somebody else held it all the while.
        """
        lock = FileLock(self.path / f"{name}.lock", mode=0o600)
        holder = self.path / f"{name}.holder"
        try:
            try:
                lock.acquire(timeout=0.5)
            except Timeout:
                on_wait(f"waiting for {self.holder(name)}, which starts or stops servers here")
                lock.acquire(timeout=wait_seconds)
        except Timeout as cause:
            raise Busy(self.path, self.holder(name), wait_seconds) from cause
        try:
            holder.write_text(str(os.getpid()))
            yield
        finally:
            holder.unlink(missing_ok=True)
            lock.release()

    def is_locked(self, name: str) -> bool:
        """Whether somebody holds the lock now."""
        if not (self.path / f"{name}.lock").exists():
            return False
        try:
            with FileLock(self.path / f"{name}.lock", mode=0o600, timeout=0):
                return False
        except Timeout:
            return True

    def holder(self, name: str) -> str:
        """Who took the lock last, for messages."""
        try:
            return f"process {int((self.path / f'{name}.holder').read_text())}"
        except (OSError, ValueError):
            return "another process"

    def _read(self, name: str) -> dict[str, Any]:
        try:
            body = json.loads((self.path / name).read_text(encoding="utf-8"))
        except FileNotFoundError:
            return {}
        except PermissionError as cause:
            what = f"{name} belongs to another user; run as the one who started the servers"
            raise StateFolderRefused(self.path, what) from cause
        except (OSError, ValueError) as cause:
            what = f"{name} cannot be read ({cause}); restore it, or move the folder away"
            raise StateFolderRefused(self.path, what) from cause
        return body if isinstance(body, dict) else {}

    def _write(self, name: str, body: dict[str, Any]) -> None:
        # Written aside, then renamed: a kill in between leaves the old file whole.
        aside = self.path / f".{name}.{os.getpid()}"
        descriptor = os.open(aside, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600)
        with os.fdopen(descriptor, "w", encoding="utf-8") as file:
            json.dump(body, file, indent=1, sort_keys=True)
            file.flush()
            os.fsync(file.fileno())
        aside.replace(self.path / name)


def is_free(port: int) -> bool:
    """Whether a server could listen on this port of 127.0.0.1 now."""
    with socket.socket(socket.AF_INET, socket.SOCK_STREAM) as probe:
        # As the servers do: a connection in TIME_WAIT does not make a port taken.
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind(("127.0.0.1", port))
        except OSError:
            return False
    return True


def free_port(*, seed: str, avoid: frozenset[int] | set[int] = frozenset()) -> int:
    """A free port of 127.0.0.1. Each seed tries its own order, so two folders seldom collide.

    Raises:
        OSError: hundreds in a row are taken.
    """
    digest = hashlib.sha256(seed.encode()).digest()
    order = random.Random(digest)  # noqa: S311 -- a spread, not a secret
    for candidate in order.sample(_PORTS, 500):
        if candidate not in avoid and is_free(candidate):
            return candidate
    raise OSError("no free port on 127.0.0.1 between 20000 and 29999")
