"""What Label Studio and Prefect have in common: one recorded process that speaks HTTP."""

from __future__ import annotations

import os
import re
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import httpx
import psutil  # type: ignore[import-untyped]

from hitl.services import processes
from hitl.services.endpoints import ServiceStatus
from hitl.services.errors import ServiceFailed
from hitl.services.ports import is_free
from hitl.services.processes import ProcessRecord
from hitl.services.state import StateFolder

# From our own environment a server inherits these and nothing else. A stray HOST, PORT, DEBUG,
# USERNAME or DJANGO_* would change how Label Studio runs; a stray PREFECT_* how Prefect does.
_INHERITED = ("PATH", "LANG", "LC_ALL", "LC_CTYPE", "TZ", "TMPDIR", "LD_LIBRARY_PATH",
              "SSL_CERT_FILE", "SSL_CERT_DIR", "REQUESTS_CA_BUNDLE")  # fmt: skip


def clean_environment(own: Mapping[str, str]) -> dict[str, str]:
    """The few variables of ours that a server may see."""
    return {name: own[name] for name in _INHERITED if name in own}


@dataclass(frozen=True)
class Launch:
    """How to start a server on a port."""

    command: Sequence[str | Path]
    env: Mapping[str, str]
    cwd: Path


LaunchOn = Callable[[int], Launch]


class HttpServer:
    """One server of the state folder, by its name."""

    def __init__(self, state: StateFolder, name: str, *, health_path: str) -> None:
        self._state = state
        self.name = name
        self._health_path = health_path

    @property
    def mark(self) -> str:
        return f"{self._state.id}:{self.name}"

    @property
    def url(self) -> str | None:
        """Its address, once it has one."""
        port = self._state.known_port(self.name)
        return None if port is None else f"http://127.0.0.1:{port}"

    @property
    def process(self) -> psutil.Process | None:
        """The living process that we started, if any."""
        return processes.find(ProcessRecord.from_note(self._state.note(f"{self.name}.process")))

    @property
    def pid(self) -> int | None:
        found = self.process
        return None if found is None else int(found.pid)

    def rss_bytes(self) -> int | None:
        found = self.process
        return None if found is None else processes.rss_bytes(processes.family(found))

    def is_healthy(self) -> bool:
        """Whether our process lives and its health page answers."""
        return self.process is not None and self.why_silent() is None

    def why_silent(self) -> str | None:
        """None if the health page answers, else the reason."""
        if self.url is None:
            return "was never started"
        return why_silent(self.url + self._health_path)

    def status(self, *, url: str | None = None) -> ServiceStatus:
        """How it is now. `url` is where people reach it, if not at its root."""
        if self.process is None:
            return ServiceStatus(self.name, "stopped")
        reason = self.why_silent()
        return ServiceStatus(
            self.name,
            "running" if reason is None else "unhealthy",
            url=url or self.url,
            pid=self.pid,
            rss=self.rss_bytes(),
            detail=reason or "",
        )

    def is_current(
        self, setup: str, *, patience_seconds: float, on_wait: Callable[[str], None]
    ) -> bool:
        """Whether our living process was started with this setup, and answers.

        A busy one may be silent for a while, and so may one that still starts: it gets
        `patience_seconds`, and `on_wait` hears of it.
        """
        if self._state.note(f"{self.name}.process").get("setup") != setup or self.process is None:
            return False
        if (reason := self.why_silent()) is None:
            return True
        on_wait(
            f"{self.name}: runs but {reason}; waiting up to {patience_seconds:.0f} s "
            "before it is replaced"
        )
        self._settled(patience_seconds)
        return self.is_healthy()

    def spawn(self, launch_on: LaunchOn, *, setup: str) -> None:
        """Start it on its port, or on another free one if somebody took it. Does not wait.

        `setup` names all that a running server cannot change; it is remembered for `is_current`.
        """
        self.stop()
        self._spawn_on(self._state.port(self.name), launch_on, setup)

    def wait(self, launch_on: LaunchOn, *, setup: str, timeout_seconds: float) -> None:
        """Until it answers. A start that lost its port to somebody else is made again.

        Raises:
            ServiceFailed: it ended, or did not answer in time; with the end of its log.
        """
        log = self._state.log(self.name)
        tried: set[int] = set()
        while True:
            in_time = self._settled(timeout_seconds)
            if self.is_healthy():
                return
            if not in_time:
                what = f"did not answer on {self.url} within {timeout_seconds:.0f} s"
                raise ServiceFailed(self.name, what, log=log)
            port = self._state.known_port(self.name) or 0
            if is_free(port) or len(tried) >= 2:
                raise ServiceFailed(self.name, "ended while it started", log=log)
            tried.add(port)
            self.clear()
            self._spawn_on(self._state.port(self.name, avoid=frozenset(tried)), launch_on, setup)

    def ask_to_end(self) -> None:
        """Say so and do not wait, so that two servers may end at the same time."""
        if (found := self.process) is not None:
            processes.ask_to_end(found)

    def stop(self, *, grace_seconds: float = 15.0) -> None:
        """End it and all that it started. Safe to repeat, and when it is dead already."""
        found = self.process
        if found is not None:
            processes.end([found], grace_seconds=grace_seconds)
        self.clear()
        if self._state.note(f"{self.name}.process"):  # what is stopped on purpose did not die
            self._state.write_note(f"{self.name}.process", {})

    def kill(self) -> None:
        """End it at once, as a crash would: for tests of what a crash leaves."""
        found = self.process
        if found is not None:
            processes.kill(processes.family(found))

    def clear(self) -> None:
        """End whatever is left of an earlier start."""
        processes.kill(processes.marked(self.mark))

    def _settled(self, timeout_seconds: float) -> bool:
        """Wait until it answers or is dead. False if neither came in time."""
        return processes.wait_until(
            lambda: self.process is None or self.why_silent() is None,
            timeout_seconds=timeout_seconds,
            sleep=time.sleep,
            now=time.monotonic,
            step_seconds=0.2,
        )

    def _spawn_on(self, port: int, launch_on: LaunchOn, setup: str) -> None:
        launch = launch_on(port)
        output = self._state.open_log(self.name)
        try:
            record = processes.spawn(
                launch.command,
                mark=self.mark,
                home=self._state.path,
                env=launch.env,
                cwd=launch.cwd,
                output=output,
            )
        finally:
            os.close(output)
        self._state.write_note(f"{self.name}.process", {**record.as_note(), "setup": setup})


def why_silent(
    url: str,
    *,
    headers: Mapping[str, str] | None = None,
    body: Mapping[str, str] | None = None,
    is_ours: bool = True,
    timeout_seconds: float = 5.0,
) -> str | None:
    """None if the page answers with a success, else the reason in a few words.

    A proxy or certificates in the environment are not for a server of ours, on this machine; one
    that is somebody else's is reached as Label Studio's and Prefect's own clients would reach it.
    """
    method = "GET" if body is None else "POST"
    try:
        with httpx.Client(trust_env=not is_ours, timeout=timeout_seconds) as client:
            status = client.request(method, url, headers=headers, json=body).status_code
    except httpx.TimeoutException:
        return f"did not answer within {timeout_seconds:.0f} s"
    except httpx.ConnectError as cause:
        return f"cannot be reached ({_words_of(cause)})"
    except httpx.HTTPError as cause:
        return f"broke the connection ({type(cause).__name__})"
    except httpx.InvalidURL:
        return "is not a URL (http://host:port)"
    return None if status < 400 else f"answers with status {status}"


def _words_of(cause: httpx.ConnectError) -> str:
    """The system's words, such as Connection refused, without the number before them."""
    return re.sub(r"^\[Errno -?\d+\] ", "", str(cause)) or "no reason given"
