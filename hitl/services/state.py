"""One folder holds everything the embedded servers own: secrets, ports, who runs, logs."""

from __future__ import annotations

import json
import os
import pwd
import secrets
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any

from filelock import FileLock, Timeout

from hitl.services.errors import Busy, StateFolderRefused
from hitl.services.ports import free_port, is_free

LOCK_WAIT_SECONDS = 900.0
_ROTATE_BYTES = 20_000_000
_MADE, _SECRETS = "made.json", "secrets.json"


class StateFolder:
    """The folder and its small files. Nothing here starts or stops anything."""

    def __init__(self, path: Path) -> None:
        self.path = Path(os.path.abspath(path))

    def prepare(self) -> StateFolder:
        """Create the folder (0700) if it is not there. Never changes permissions of one that is.

        A folder that was moved stays what it is. A copy of one becomes a folder of its own: it
        takes another id and forgets the processes and the place of the database it came from.

        Raises:
            StateFolderRefused: it cannot be created or written, is not a folder, or belongs to
                another user.
        """
        is_new = False
        try:
            if not self.path.exists():
                self.path.parent.mkdir(parents=True, exist_ok=True)
                with suppress(FileExistsError):  # another process was quicker
                    self.path.mkdir(mode=0o700)
                    is_new = True
            self.check_owner()
            self._settle(is_new=is_new)
            self.folder("logs")
        except (NotADirectoryError, FileExistsError) as cause:
            what = "there is a file in its place; choose another with HITL_STATE"
            raise StateFolderRefused(self.path, what) from cause
        except OSError as cause:
            what = f"cannot be written ({cause.strerror}); choose another with HITL_STATE"
            raise StateFolderRefused(self.path, what) from cause
        return self

    def check_owner(self) -> None:
        """Root may write everywhere, but what it wrote here the folder's owner could not read.

        Raises:
            StateFolderRefused: another user set this folder up.
        """
        try:
            owner = (self.path / _MADE).stat().st_uid
        except FileNotFoundError:
            return
        if owner != os.geteuid():
            what = (
                f"belongs to {_name_of(owner)}; run this as them, or choose another with HITL_STATE"
            )
            raise StateFolderRefused(self.path, what)

    @property
    def copied_from(self) -> Path | None:
        """Where the folder lies that this one was copied from, until `prepare` parts the two."""
        made = self._read(_MADE)
        if made.get("path", str(self.path)) == str(self.path):
            return None
        original = Path(made["path"])
        try:
            found = original.stat()
            if found.st_ino != made.get("inode") or os.path.samestat(found, self.path.stat()):
                return None  # moved, or seen through a link or a mount
            other = json.loads((original / _SECRETS).read_text(encoding="utf-8"))
        except PermissionError:
            return original
        except (OSError, ValueError):
            return None
        return original if other.get("state_id") == self._read(_SECRETS).get("state_id") else None

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
        return "mode" in self._read(_MADE)

    @property
    def id(self) -> str:
        """A random name that stays with the folder when it moves; a copy gets another."""
        return self.secret("state_id", lambda: secrets.token_hex(8))

    @property
    def marker(self) -> str:
        """The id if there is one of our own yet; never writes."""
        return "" if self.copied_from else str(self._read(_SECRETS).get("state_id", ""))

    def secret(self, name: str, make: Callable[[], str]) -> str:
        """The remembered secret, made once."""
        known = self._read(_SECRETS)
        if name not in known:
            known[name] = make()
            self._write(_SECRETS, known)
        return str(known[name])

    def known_secret(self, name: str) -> str | None:
        """The secret if it was made before; never writes."""
        return self._read(_SECRETS).get(name)

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
        """A small remembered record (`{}` if there is none, or a copy has it of its original)."""
        if (name == "postgres" or name.endswith(".process")) and self.copied_from:
            return {}
        return self._read(f"{name}.json")

    def write_note(self, name: str, body: dict[str, Any]) -> None:
        """Remember a small record, whole or not at all."""
        self._write(f"{name}.json", body)

    def drop_note(self, name: str) -> None:
        """Forget a small record. Safe to repeat."""
        (self.path / f"{name}.json").unlink(missing_ok=True)

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

    def _settle(self, *, is_new: bool) -> None:
        """Write down where this folder lies, by which a copy is told from a move later on."""
        here = {"path": str(self.path), "inode": self.path.stat().st_ino}
        if not is_new and here.items() <= self._read(_MADE).items():
            return
        with self.locked("folder"):
            if (original := self.copied_from) is not None:
                self._part_from(original)
            mode = {"mode": "0700"} if is_new else {}
            self._write(_MADE, {**self._read(_MADE), **mode, **here})

    def _part_from(self, original: Path) -> None:
        if "root" in self._read("postgres.json"):  # the database lay outside, and stays there
            self.write_note("copied", {"from": str(original)})
        for stale in self.path.glob("*.process.json"):
            stale.unlink()
        self.drop_note("postgres")
        known = self._read(_SECRETS)
        self._write(_SECRETS, {**known, "state_id": secrets.token_hex(8)})

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


def _name_of(uid: int) -> str:
    try:
        return f"user {pwd.getpwuid(uid).pw_name}"
    except KeyError:
        return f"user {uid}"
