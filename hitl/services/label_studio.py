"""The embedded Label Studio: gunicorn in its own environment, on our Postgres, loopback only."""

from __future__ import annotations

import os
import secrets
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from urllib.parse import urlsplit

from hitl.services import inside_label_studio, processes, store, subnets
from hitl.services.errors import InstallFailed, ServiceFailed
from hitl.services.installation import lock_hash, package_of, python_of
from hitl.services.postgres import PostgresServer
from hitl.services.server import HttpServer, Launch, clean_environment
from hitl.services.state import StateFolder

NAME = "label-studio"
DATABASE = "labelstudio"
# Where its first migrations run. Django records some of them outside the transaction that applied
# them, so a database whose migrations were cut off may never migrate again: it is made anew.
UNFINISHED = f"{DATABASE}_unfinished"
ADMIN_EMAIL = "admin@example.com"
START_SECONDS = 180.0
BOOTSTRAP_SECONDS = 900.0  # 24 s on an idle machine
# A task that was opened and left is nobody else's for this long. Label Studio's own day is too
# long; less than the longest honest review lets two people answer the same task.
TASK_LOCK_SECONDS = 1800
_THREADS = 8
# Longer than clients keep an idle connection (httpx: 5 s): gunicorn's own 2 s would now and then
# close one in the moment in which a request is sent on it, and that request gets no answer.
_KEEP_ALIVE_SECONDS = 30


@dataclass(frozen=True)
class Credentials:
    """How to log in, by browser and by API."""

    email: str
    password: str
    token: str


def server(state: StateFolder) -> HttpServer:
    return HttpServer(state, NAME, health_path="/health")


def credentials(state: StateFolder) -> Credentials:
    """Made once, kept in the state folder."""
    return Credentials(
        ADMIN_EMAIL,
        state.secret("label_studio_password", lambda: secrets.token_urlsafe(12)),
        state.secret("label_studio_token", lambda: secrets.token_hex(20)),
    )


def database_password(state: StateFolder) -> str:
    return state.secret("label_studio_database_password", lambda: secrets.token_urlsafe(24))


def bootstrap(
    state: StateFolder,
    postgres: PostgresServer,
    venv: Path,
    *,
    progress: Callable[[str], None],
    timeout_seconds: float = BOOTSTRAP_SECONDS,
) -> None:
    """Its database, its tables and the administrator, once per database and version.

    Safe to cut off and repeat: a database gets its name when all of it is there. It is owned by a
    role that can read nothing else of ours.

    Raises:
        ServiceFailed: it ended with an error or took too long.
    """
    url = postgres.url("postgres")
    done = {"database": store.fingerprint(url, database=DATABASE), "lock": lock_hash()}
    if done["database"] and state.note(f"{NAME}.bootstrapped") == done:
        return
    processes.kill(processes.marked(f"{state.id}:{NAME}-bootstrap"))
    store.ensure_role(url, name=DATABASE, password=database_password(state))
    progress(f"{NAME}: creating its tables (half a minute, only the first time)")
    if done["database"]:
        _migrate(state, postgres, venv, database=DATABASE, timeout_seconds=timeout_seconds)
    else:
        store.make_anew(url, name=UNFINISHED, owner=DATABASE)
        _migrate(state, postgres, venv, database=UNFINISHED, timeout_seconds=timeout_seconds)
        store.rename(url, name=UNFINISHED, to=DATABASE)
        done["database"] = store.fingerprint(url, database=DATABASE)
    state.write_note(f"{NAME}.bootstrapped", done)


def _migrate(
    state: StateFolder,
    postgres: PostgresServer,
    venv: Path,
    *,
    database: str,
    timeout_seconds: float,
) -> None:
    name = f"{NAME}-bootstrap"
    mark = f"{state.id}:{name}"
    lock = lock_hash()
    data = state.folder(NAME, "data")
    finished = state.folder(NAME) / "bootstrap.finished"
    finished.unlink(missing_ok=True)
    env = environment(state, postgres_port=postgres.port, own=os.environ, database=database)
    output = state.open_log(name)
    try:
        record = processes.spawn(
            [python_of(venv), _scripts() / "hitl_bootstrap.py", finished, lock],
            mark=mark,
            home=state.path,
            env=env,
            cwd=data,
            output=output,
        )
    finally:
        os.close(output)
    log = state.log(name)
    if not processes.wait_until(
        lambda: not processes.is_alive(record),
        timeout_seconds=timeout_seconds,
        sleep=time.sleep,
        now=time.monotonic,
        step_seconds=0.2,
    ):
        processes.kill(processes.marked(mark))
        what = f"creating its tables took more than {timeout_seconds:.0f} s"
        raise ServiceFailed(NAME, what, log=log)
    # Its exit status may have gone to an init we do not know; its own last line says that it came
    # so far. A row in the database would not: the last migrations may have failed after it.
    if not finished.exists() or finished.read_text(encoding="utf-8") != lock:
        raise ServiceFailed(NAME, "its tables could not be created", log=log)


def setup(
    state: StateFolder,
    venv: Path,
    *,
    postgres_port: int,
    task_lock_seconds: int,
    webhook_url: str | None = None,
) -> str:
    """All that a running server cannot change: another of these is another server."""
    opened = ",".join(callable_addresses(webhook_url))
    return f"{lock_hash()}:{postgres_port}:{task_lock_seconds}:{opened}:{venv}:{state.path}"


def launch(
    state: StateFolder,
    venv: Path,
    port: int,
    *,
    postgres_port: int,
    task_lock_seconds: int,
    webhook_url: str | None = None,
) -> Launch:
    """How to start it under gunicorn: one process of threads, as one process holds its caches."""
    package = package_of(venv)
    if package is None:
        raise InstallFailed(f"{venv} holds no label_studio", log=state.log("label-studio-install"))
    env = environment(
        state,
        postgres_port=postgres_port,
        own=os.environ,
        task_lock_seconds=task_lock_seconds,
        webhook_url=webhook_url,
    )
    env["DJANGO_SETTINGS_MODULE"] = "core.settings.label_studio"
    env["PYTHONPATH"] = str(_scripts())
    command: list[str | Path] = [
        python_of(venv), "-m", "gunicorn", "hitl_wsgi:application",
        "--bind", f"127.0.0.1:{port}", "--workers", "1", "--threads", str(_THREADS),
        "--worker-class", "gthread", "--timeout", "300", "--graceful-timeout", "5",
        "--keep-alive", str(_KEEP_ALIVE_SECONDS),
        "--no-control-socket", "--log-level", "warning",
    ]  # fmt: skip
    # Its modules are found from its working directory. Were that folder on PYTHONPATH, Python
    # would run the sitecustomize.py in it at every start.
    return Launch(command=command, env=env, cwd=package.parent)


def environment(
    state: StateFolder,
    *,
    postgres_port: int,
    own: Mapping[str, str],
    task_lock_seconds: int = TASK_LOCK_SECONDS,
    webhook_url: str | None = None,
    database: str = DATABASE,
) -> dict[str, str]:
    """Its whole environment. Label Studio also reads bare names such as HOST: none gets in."""
    login = credentials(state)
    home = state.folder(NAME)
    mine = {
        "BASE_DATA_DIR": str(state.folder(NAME, "data")),  # keeps the key that signs tokens
        "USERNAME": login.email,
        "PASSWORD": login.password,
        "USER_TOKEN": login.token,
        "ENABLE_LEGACY_API_TOKEN": "true",
        "DISABLE_SIGNUP_WITHOUT_LINK": "true",
        "COLLECT_ANALYTICS": "false",
        "SENTRY_DSN": "",
        "FRONTEND_SENTRY_DSN": "",
        "LATEST_VERSION_CHECK": "false",
        "FEATURE_FLAGS_OFFLINE": "true",
        "LOCAL_FILES_SERVING_ENABLED": "false",
        "LOCAL_FILES_DOCUMENT_ROOT": str(state.folder(NAME, "media")),
        "LOG_LEVEL": "WARNING",
        "HOST": "",
        "TASK_LOCK_TTL": str(task_lock_seconds),
    }
    if opened := callable_addresses(webhook_url):
        mine["USE_DEFAULT_BANNED_SUBNETS"] = "false"
        mine["USER_ADDITIONAL_BANNED_SUBNETS"] = ",".join(subnets.all_but(opened))
    return clean_environment(own) | {
        **{f"LABEL_STUDIO_{name}": value for name, value in mine.items()},
        "HOME": str(home),
        "LOG_LEVEL": "WARNING",
        "DJANGO_DB": "default",
        "POSTGRE_NAME": database,
        "POSTGRE_USER": DATABASE,
        "POSTGRE_PASSWORD": database_password(state),
        "POSTGRE_HOST": "127.0.0.1",
        "POSTGRE_PORT": str(postgres_port),
        # The embedded Postgres has no pg_trgm and no btree_gin. "full" leaves these steps out;
        # "true" would still build an index on them and fail.
        "SKIP_TRIGRAM_EXTENSION": "full",
        "SKIP_BTREE_GIN_EXTENSION": "full",
        "PYTHONUNBUFFERED": "1",
        "PYTHONDONTWRITEBYTECODE": "1",
    }


def callable_addresses(webhook_url: str | None) -> list[str]:
    """What it may call although the address lies in this machine or a private network.

    Only where the URL names it by number: a name may point elsewhere tomorrow.
    """
    host = urlsplit(webhook_url or "").hostname or ""
    return [host] if subnets.is_banned(host) else []


def _scripts() -> Path:
    return Path(inside_label_studio.__path__[0])
