"""One reviewer's place at Label Studio: their own account, their own session, its label stream."""

from __future__ import annotations

import re
from dataclasses import dataclass
from threading import Event
from time import monotonic
from types import TracebackType
from typing import Any, Self
from urllib.parse import urlsplit

import httpx
from pydantic import SecretStr

from flows.demo.answers import Answer, SimulatedReviewer, annotation_id, annotation_result
from hitl.errors import Refused, Unavailable
from hitl.records import Stage

_CSRF = re.compile(r'name="csrfmiddlewaretoken" value="([^"]+)"')


class ReviewersUnavailable(Unavailable):
    """Label Studio did not answer a simulated reviewer for longer than they are patient."""

    def __init__(self, url: str, name: str, why: str) -> None:
        super().__init__(
            f"Label Studio at {url} does not answer reviewer {name} ({why}); what was submitted "
            "is kept. See that it runs (`hitl status`), then start the demo again"
        )
        self.url = url
        self.name = name


class ReviewerRefused(Refused):
    """Label Studio does not let a simulated reviewer in, or refuses what they do."""

    def __init__(self, url: str, name: str, why: str) -> None:
        super().__init__(f"Label Studio at {url} refuses reviewer {name}: {why}")
        self.url = url
        self.name = name


class Stopped(Exception):
    """Somebody asked the reviewers to stop while one was waiting for a retry."""


@dataclass(frozen=True)
class ServedTask:
    """A task as the label stream served it."""

    task_id: int
    item_id: str
    stage: Stage


def invite_path(url: str, token: SecretStr, *, transport: httpx.BaseTransport | None = None) -> str:
    """The path of the organisation's invite link, asked for with a token of its first account.

    Raises:
        ReviewersUnavailable: no answer.
        ReviewerRefused: the token is not accepted.
    """
    asked_by = "(invite link)"
    with httpx.Client(base_url=url, timeout=60.0, transport=transport) as http:
        try:
            header = _authorization(http, token)
            reply = http.get("/api/invite", headers={"Authorization": header})
        except httpx.HTTPError as cause:
            raise ReviewersUnavailable(url, asked_by, type(cause).__name__) from cause
    if reply.status_code != 200:
        raise ReviewerRefused(
            url, asked_by, f"HTTP {reply.status_code}; check HITL_LABEL_STUDIO_TOKEN"
        )
    # Its host is the one Label Studio believes it has; only path and query matter to us.
    parts = urlsplit(str(reply.json()["invite_url"]))
    return f"{parts.path}?{parts.query}"


def _authorization(http: httpx.Client, token: SecretStr) -> str:
    value = token.get_secret_value()
    if value.count(".") != 2:
        return f"Token {value}"
    # A personal access token is a JWT that buys a short-lived one.
    reply = http.post("/api/token/refresh", json={"refresh": value})
    return f"Bearer {reply.json().get('access', '')}" if reply.status_code == 200 else "Bearer -"


class Seat:
    """A reviewer's session. Use as a context manager; not for several threads.

    Args:
        patience_seconds: how long errors of the server and of the network are tried again.
    """

    def __init__(
        self,
        url: str,
        reviewer: SimulatedReviewer,
        *,
        patience_seconds: float = 90.0,
        transport: httpx.BaseTransport | None = None,
    ) -> None:
        self._url = url.rstrip("/")
        self.reviewer = reviewer
        self._patience_seconds = patience_seconds
        self._tries = 0  # of the latest request
        self._http = httpx.Client(
            base_url=self._url, timeout=60.0, follow_redirects=False, transport=transport
        )

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self._http.close()

    def enter(self, invite: str) -> None:
        """Log in; sign up through the invite link first if the account does not exist yet."""
        if self._submit_form("/user/login/"):
            return
        if not self._submit_form(invite):
            raise ReviewerRefused(
                self._url,
                self.reviewer.name,
                f"{self.reviewer.email} has another password there; "
                "start from a fresh state folder or give the password it was made with",
            )

    def _submit_form(self, path: str) -> bool:
        page = self._ask("GET", path)
        found = _CSRF.search(page.text)
        if found is None:
            # Who is logged in already is sent on instead of being shown the form.
            return page.is_redirect
        reply = self._ask(
            "POST",
            path,
            data={
                "email": self.reviewer.email,
                "password": self.reviewer.password.get_secret_value(),
                "csrfmiddlewaretoken": found.group(1),
                "allow_newsletters": "",
            },
            headers={"Referer": f"{self._url}{path}"},
        )
        # Django answers a bad form with the form again, and a good one with a redirect.
        return reply.is_redirect and "sessionid" in self._http.cookies

    def next_task(self, project_id: int, *, stop: Event) -> ServedTask | None:
        """The next task of the stream. None: nothing for this reviewer now.

        `stop` ends a wait between two tries with Stopped.
        """
        reply = self._ask("GET", f"/api/projects/{project_id}/next", fine=(200, 404), stop=stop)
        if reply.status_code == 404:
            return None
        body = reply.json()
        data = body.get("data") or {}
        stage = Stage(data.get("stage", Stage.REVIEW))
        return ServedTask(int(body["id"]), str(data.get("item_id", "")), stage)

    def submit(self, task: ServedTask, answer: Answer, *, attempt: int, stop: Event) -> bool:
        """Send the answer, or the skip; it is stored once however often it is sent.

        False: it was there before we came, or the task is gone.
        """
        reply = self._ask(
            "POST",
            f"/api/tasks/{task.task_id}/annotations/",
            json={
                "result": annotation_result(answer),
                "was_cancelled": answer.is_skip,
                "lead_time": answer.lead_seconds,
                "unique_id": str(annotation_id(self.reviewer, task.task_id, attempt)),
            },
            headers={
                "X-CSRFToken": self._http.cookies.get("csrftoken") or "",
                "Referer": self._url,
            },
            fine=(201, 409, 404),
            stop=stop,
        )
        # A duplicate of our own first try, whose reply was lost, is this answer having arrived.
        return reply.status_code == 201 or (reply.status_code == 409 and self._tries > 1)

    def _ask(
        self,
        method: str,
        path: str,
        *,
        fine: tuple[int, ...] = (200, 302),
        stop: Event | None = None,
        **more: Any,
    ) -> httpx.Response:
        """One request, tried again with growing pauses while the server or the network fails.

        Safe to repeat: reading changes nothing, and an answer carries its unique id.
        """
        pause, until = 0.2, monotonic() + self._patience_seconds
        self._tries = 0
        while True:
            self._tries += 1
            try:
                reply = self._http.request(method, path, **more)
            except httpx.TransportError as cause:
                why = type(cause).__name__
            else:
                if reply.status_code in fine:
                    return reply
                why = f"HTTP {reply.status_code}"
                if reply.status_code < 500 and reply.status_code != 429:
                    raise ReviewerRefused(
                        self._url, self.reviewer.name, f"{method} {urlsplit(path).path}: {why}"
                    )
            if monotonic() + pause > until:
                raise ReviewersUnavailable(self._url, self.reviewer.name, why)
            if (stop or Event()).wait(pause):
                raise Stopped
            pause = min(pause * 2, 5.0)
