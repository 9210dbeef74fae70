"""The three embedded servers together: up, down, status; any of them may be replaced by a URL."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

from pydantic import SecretStr

from hitl import logs
from hitl.services import doctor, given, installation, label_studio, prefect_server, processes
from hitl.services.endpoints import Endpoints, ServiceStatus
from hitl.services.errors import StateFolderRefused
from hitl.services.postgres import PostgresServer
from hitl.services.server import HttpServer, Launch
from hitl.services.state import StateFolder

APP_DATABASE = "hitl"
POSTGRES = "postgres"
LABEL_STUDIO = label_studio.NAME
PREFECT = prefect_server.NAME

Progress = Callable[[str], None]

log = logs.get(__name__)


class Stack:
    """The servers of one state folder.

    A URL of a server given here replaces the embedded one of that kind. With a database of your
    own and an embedded Label Studio, the embedded Postgres still runs, for Label Studio alone.
    `webhook_url` is what that one may call although it lies in this machine.
    """

    def __init__(
        self,
        state_folder: Path,
        *,
        label_studio: bool = True,
        prefect: bool = True,
        label_studio_venv: Path | None = None,
        database_url: SecretStr | None = None,
        label_studio_url: str | None = None,
        label_studio_token: SecretStr | None = None,
        prefect_api_url: str | None = None,
        task_lock_seconds: int = label_studio.TASK_LOCK_SECONDS,
        webhook_url: str | None = None,
    ) -> None:
        self.state = StateFolder(state_folder)
        self.given = Endpoints(
            database_url=database_url,
            label_studio_url=label_studio_url,
            label_studio_token=label_studio_token,
            prefect_api_url=prefect_api_url,
        )
        self.venv = label_studio_venv
        self._task_lock_seconds = task_lock_seconds
        self._webhook_url = webhook_url
        self._wants_label_studio = label_studio and label_studio_url is None
        self._wants_prefect = prefect and prefect_api_url is None
        self._wants_postgres = database_url is None or self._wants_label_studio

    # -- all together ------------------------------------------------------------------------

    def up(self, progress: Progress = lambda _: None) -> Endpoints:
        """Start what does not run yet, and wait until everything answers. Safe to repeat.

        Two at once take turns. Cut off at any point, the next `up` or `down` puts it right.

        Raises:
            Unavailable: a server did not come up (its log's end is in the message), or somebody
                else held the folder all the while.
            Refused: the state folder cannot be used.
        """
        self.state.prepare()
        with self.state.locked("stack", on_wait=progress):
            prefect_is_new = self._wants_prefect and self._spawn_prefect(progress)
            if self._wants_postgres:
                self._start_postgres(progress)
            if self._wants_label_studio:
                self._start_label_studio(progress)
            if prefect_is_new:
                progress(f"{PREFECT}: waiting for its first answer")
                self._wait_for_prefect()
            progress("all servers answer")
        return self.endpoints()

    def down(self, progress: Progress = lambda _: None) -> bool:
        """Stop all that was started here; leaves no process, keeps all data. Safe to repeat.

        Whether anything ran. Servers whose state folder was deleted under them are found, too.

        Raises:
            StateFolderRefused: the folder is another user's.
        """
        if not self.state.path.is_dir() or not self.state.marker:
            strays = processes.started_for(self.state.path)
            processes.end(strays, grace_seconds=15)
            return bool(strays)
        self.state.check_owner()
        with self.state.locked("stack", on_wait=progress):
            ran = bool(processes.marked(self.state.id))
            progress("stopping Label Studio and Prefect")
            self._label_studio.ask_to_end()
            self._prefect.ask_to_end()
            self._label_studio.stop()
            self._prefect.stop()
            progress("stopping Postgres")
            if (postgres := PostgresServer.running(self.state.path)) is not None:
                ran = True
                postgres.stop()
            processes.kill(processes.marked(self.state.id))
            log.info("servers_stopped", state=str(self.state.path))
        return ran

    def endpoints(self) -> Endpoints:
        """The addresses of what is given and of what runs. Starts nothing, waits for nothing."""
        theirs = self.given
        database_url = theirs.database_url
        if database_url is None and (postgres := PostgresServer.running(self.state.path)):
            database_url = SecretStr(postgres.url(APP_DATABASE))
        prefect_url = theirs.prefect_api_url
        if prefect_url is None and self._prefect.process is not None:
            prefect_url = prefect_server.api_url(self.state)
        if theirs.label_studio_url is not None:
            return Endpoints(
                database_url=database_url,
                label_studio_url=theirs.label_studio_url,
                label_studio_token=theirs.label_studio_token,
                prefect_api_url=prefect_url,
            )
        if self._label_studio.process is None:
            return Endpoints(database_url=database_url, prefect_api_url=prefect_url)
        login = label_studio.credentials(self.state)
        return Endpoints(
            database_url=database_url,
            label_studio_url=self._label_studio.url,
            label_studio_token=SecretStr(login.token),
            label_studio_email=login.email,
            label_studio_password=SecretStr(login.password),
            prefect_api_url=prefect_url,
        )

    def status(self) -> list[ServiceStatus]:
        """Each server, asked now: its process and a real answer, not only a pid file."""
        theirs = given.statuses(self.given)
        found = [theirs["database"]] if "database" in theirs else []
        if self._wants_postgres:
            found.append(self._postgres_status())
        found.append(theirs.get(LABEL_STUDIO) or self._label_studio.status())
        found.append(
            theirs.get(PREFECT) or self._prefect.status(url=prefect_server.api_url(self.state))
        )
        return found

    def doctor(self) -> list[doctor.Finding]:
        """What is wrong with this installation and what to do; worst first."""
        now = self.status()
        running = {one.name for one in now if one.state in ("running", "unhealthy")}
        unhealthy = {one.name: one.detail for one in now if one.state == "unhealthy"}
        external = {one.name: one.detail for one in now if one.state == "external"}
        return doctor.examine(
            self.state,
            venv=self.venv,
            wants_label_studio=self._wants_label_studio,
            running=running,
            unhealthy=unhealthy,
            external=external,
        )

    def remove(self, progress: Progress = lambda _: None) -> Path | None:
        """Stop everything and delete the embedded Postgres's data. Where it lay; None: none was.

        The rest of the state folder is the caller's to delete.

        Raises:
            StateFolderRefused: the folder is another user's, or the data cannot be deleted.
        """
        self.down(progress)
        return PostgresServer.remove_data(self.state.path)

    # -- one by one, for tests of faults and for repairs ----------------------------------------

    def pid(self, name: str) -> int | None:
        """The process of one server: the postmaster, gunicorn's arbiter, Prefect's command."""
        if name == POSTGRES:
            postgres = PostgresServer.running(self.state.path)
            return None if postgres is None else postgres.pid
        return self._server(name).pid

    def kill(self, name: str) -> None:
        """`kill -9` one server as a crash would: the postmaster alone, or gunicorn and workers."""
        if name != POSTGRES:
            self._server(name).kill()
        elif (postgres := PostgresServer.running(self.state.path)) is not None:
            postgres.kill()

    def restart(self, name: str, progress: Progress = lambda _: None) -> Endpoints:
        """Stop one server and start it again; the others stay."""
        self.state.prepare()
        with self.state.locked("stack", on_wait=progress):
            if name == POSTGRES:
                if (postgres := PostgresServer.running(self.state.path)) is not None:
                    postgres.stop()
                self._start_postgres(progress)
            elif name == LABEL_STUDIO:
                self._label_studio.stop()
                self._start_label_studio(progress)
            else:
                self._server(name).stop()
                self._spawn_prefect(progress)
                self._wait_for_prefect()
        return self.endpoints()

    # -- the steps, under the lock --------------------------------------------------------------

    def _start_postgres(self, progress: Progress) -> PostgresServer:
        running = PostgresServer.running(self.state.path)
        if running is None or running.why_silent() is not None:
            progress(f"{POSTGRES}: starting")
            running = PostgresServer.start(self.state.path)
            log.info("server_started", server=POSTGRES, port=running.port)
        running.create_database(APP_DATABASE)
        return running

    def _start_label_studio(self, progress: Progress) -> None:
        postgres = PostgresServer.running(self.state.path) or self._start_postgres(progress)
        setup = label_studio.setup(
            self.state,
            installation.venv_of(self.state, self.venv),
            postgres_port=postgres.port,
            task_lock_seconds=self._task_lock_seconds,
            webhook_url=self._webhook_url,
        )
        if self._label_studio.is_current(
            setup, patience_seconds=label_studio.START_SECONDS, on_wait=progress
        ):
            return
        self._label_studio.stop()  # an older one must not serve while its tables change
        venv = installation.ensure_installed(self.state, given=self.venv, progress=progress)
        label_studio.bootstrap(self.state, postgres, venv, progress=progress)

        def launch(port: int) -> Launch:
            return label_studio.launch(
                self.state,
                venv,
                port,
                postgres_port=postgres.port,
                task_lock_seconds=self._task_lock_seconds,
                webhook_url=self._webhook_url,
            )

        progress(f"{LABEL_STUDIO}: starting")
        self._label_studio.spawn(launch, setup=setup)
        self._label_studio.wait(launch, setup=setup, timeout_seconds=label_studio.START_SECONDS)
        log.info("server_started", server=LABEL_STUDIO, url=self._label_studio.url)

    def _spawn_prefect(self, progress: Progress) -> bool:
        setup = prefect_server.setup(self.state)
        if self._prefect.is_current(
            setup, patience_seconds=prefect_server.START_SECONDS, on_wait=progress
        ):
            return False
        progress(f"{PREFECT}: starting")
        self._prefect.spawn(self._prefect_launch, setup=setup)
        return True

    def _wait_for_prefect(self) -> None:
        self._prefect.wait(
            self._prefect_launch,
            setup=prefect_server.setup(self.state),
            timeout_seconds=prefect_server.START_SECONDS,
        )
        log.info("server_started", server=PREFECT, url=self._prefect.url)

    def _prefect_launch(self, port: int) -> Launch:
        return prefect_server.launch(self.state, port)

    def _postgres_status(self) -> ServiceStatus:
        running = PostgresServer.running(self.state.path)
        detail = "for Label Studio alone" if self.given.database_url is not None else ""
        if running is None:
            return ServiceStatus(POSTGRES, "stopped", detail=detail)
        reason = running.why_silent()
        return ServiceStatus(
            POSTGRES,
            "running" if reason is None else "unhealthy",
            url=f"postgresql://127.0.0.1:{running.port}/{APP_DATABASE}",
            pid=running.pid,
            rss=running.rss_bytes(),
            detail="; ".join(part for part in (reason, running.note, detail) if part),
        )

    @property
    def _label_studio(self) -> HttpServer:
        return label_studio.server(self.state)

    @property
    def _prefect(self) -> HttpServer:
        return prefect_server.server(self.state)

    def _server(self, name: str) -> HttpServer:
        if name not in (LABEL_STUDIO, PREFECT):
            what = f"has no server {name}; there are {POSTGRES}, {LABEL_STUDIO}, {PREFECT}"
            raise StateFolderRefused(self.state.path, what)
        return self._label_studio if name == LABEL_STUDIO else self._prefect
