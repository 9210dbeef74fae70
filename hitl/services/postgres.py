"""An embedded Postgres in one folder: started, found again, mended after a crash, stopped."""

from __future__ import annotations

import time
from collections.abc import Mapping
from pathlib import Path

from hitl.services import postgres_cluster as cluster
from hitl.services import processes, store
from hitl.services.errors import ServiceFailed
from hitl.services.postgres_user import Place, place, remove_root
from hitl.services.processes import ProcessRecord
from hitl.services.state import StateFolder


class PostgresServer:
    """A running server. `start` gives one; so does `running`, if there is one already."""

    def __init__(self, state: StateFolder, where: Place, *, port: int, pid: int) -> None:
        self._state = state
        self._place = where
        self.port = port
        self.pid = pid

    @classmethod
    def start(
        cls,
        folder: Path,
        *,
        settings: Mapping[str, str] | None = None,
        timeout_seconds: float = 60.0,
    ) -> PostgresServer:
        """A server on the cluster of this folder: the one that runs, or a new one.

        Safe to call again, at once from several processes, and after a crash of the server.
        `settings` are postgresql.conf's, for a server that is started by this call.

        Raises:
            ServiceFailed: it does not come up; the message has the end of its log.
            StateFolderRefused: the folder cannot be used, or another Postgres version made it.
        """
        state = StateFolder(folder).prepare()
        with state.locked(cluster.NAME):
            where = place(state)
            cluster.check_version(state, where)
            server = cls._adopt(state, where, timeout_seconds=timeout_seconds)
            if server is not None:
                return server
            cluster.clear_crash(where)
            cluster.initialise(state, where)
            return cls._launch(state, where, settings or {}, timeout_seconds=timeout_seconds)

    @classmethod
    def running(cls, folder: Path) -> PostgresServer | None:
        """The server of this folder if its process runs, whether it answers or not."""
        state = StateFolder(folder)
        where = cluster.known_place(state)
        if where is None:
            return None
        found = cluster.postmaster(where.data)
        return None if found is None else cls(state, where, port=found[1], pid=found[0].pid)

    @property
    def log(self) -> Path:
        return self._state.log(cluster.NAME)

    @property
    def note(self) -> str:
        """What an operator should know about where it runs; mostly empty."""
        return self._place.note

    def url(self, database: str) -> str:
        """The SQLAlchemy URL of a database here, password included."""
        password = self._state.secret("postgres_password", cluster.password)
        return (
            f"postgresql+psycopg2://{cluster.SUPERUSER}:{password}@127.0.0.1:{self.port}/{database}"
        )

    def role_url(self, role: str, password: str, database: str) -> str:
        """The same for another role."""
        return f"postgresql+psycopg2://{role}:{password}@127.0.0.1:{self.port}/{database}"

    def create_database(self, name: str) -> bool:
        """Make the database if it is missing. True if it was."""
        return store.ensure_database(self.url("postgres"), name=name)

    def why_silent(self) -> str | None:
        """None if it answers a `SELECT 1`, else the reason."""
        return store.why_silent(self.url("postgres"))

    def rss_bytes(self) -> int:
        """Memory of all its processes; the shared buffers count several times."""
        return processes.rss_bytes(processes.working_in(self._place.data, name=cluster.NAME))

    def stop(self) -> None:
        """End it. Open connections are closed; nothing committed is lost. Safe to repeat."""
        with self._state.locked(cluster.NAME):
            cluster.stop(self._place)

    def kill(self) -> None:
        """`kill -9` the postmaster alone, as a crash would: for tests of what a crash leaves."""
        found = cluster.postmaster(self._place.data)
        if found is not None:
            processes.kill([found[0]])

    def remove(self) -> None:
        """End it and delete its cluster, wherever that lies."""
        self.stop()
        self.remove_data(self._state.path)

    @classmethod
    def remove_data(cls, folder: Path) -> Path | None:
        """Delete the cluster of this folder, which must be stopped. Where it lay; None: none was.

        Raises:
            StateFolderRefused: it is in use, or cannot be deleted.
        """
        state = StateFolder(folder)
        where = cluster.known_place(state)
        if where is not None:
            remove_root(where.root)
        for note in ("postgres", "copied"):
            state.drop_note(note)
        return None if where is None else where.root

    @classmethod
    def _adopt(
        cls, state: StateFolder, where: Place, *, timeout_seconds: float
    ) -> PostgresServer | None:
        found = cluster.postmaster(where.data)
        if found is None:
            return None
        server = cls(state, where, port=found[1], pid=found[0].pid)
        if processes.wait_until(
            lambda: server.why_silent() is None or cluster.postmaster(where.data) is None,
            timeout_seconds=timeout_seconds,
            sleep=time.sleep,
            now=time.monotonic,
        ) and cluster.postmaster(where.data):
            return server
        cluster.stop(where, grace_seconds=5)  # it runs but does not answer: begin again
        return None

    @classmethod
    def _launch(
        cls,
        state: StateFolder,
        where: Place,
        settings: Mapping[str, str],
        *,
        timeout_seconds: float,
    ) -> PostgresServer:
        tried: set[int] = set()
        for _ in range(3):
            port = state.port(cluster.NAME, avoid=frozenset(tried))
            tried.add(port)
            record = cluster.spawn(state, where, port, settings)
            server = cls(state, where, port=port, pid=record.pid)

            def settled(server: PostgresServer = server, record: ProcessRecord = record) -> bool:
                return server.why_silent() is None or not processes.is_alive(record)

            in_time = processes.wait_until(
                settled, timeout_seconds=timeout_seconds, sleep=time.sleep, now=time.monotonic
            )
            if not in_time:
                cluster.stop(where)
                what = f"did not answer within {timeout_seconds:.0f} s"
                raise ServiceFailed(cluster.NAME, what, log=state.log(cluster.NAME))
            if processes.is_alive(record):
                return server
            # It ended. Somebody may have taken the port between our look and its bind.
        raise ServiceFailed(cluster.NAME, "ended while it started", log=state.log(cluster.NAME))
