"""`POST /webhooks/label-studio`: a hint that something changed there, and nothing else.

Label Studio signs nothing, sends no delivery id, asks once and waits a second, while its reviewer
waits, too. So only numbers are taken from a body, they are looked up, and the answer does not wait
for anybody: being told twice, late, or not at all makes no difference.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass
from typing import Any

import anyio
from fastapi import Request, Response

from hitl.web.bodies import json_of, read_body
from hitl.web.problems import RequestRefused
from hitl.web.tokens import is_secret

_MOST_TASKS = 1000
_AT_ONCE = 4

Wake = Callable[[int, Sequence[int]], None]


@dataclass(frozen=True)
class WebhookDoor:
    """All that the route needs. `wake(project_id, task_ids)` commits before it returns.

    `header` is where the secret is looked for.
    """

    header: str
    secret: str
    wake: Wake
    # A task of 100,000 characters, escaped, with its prediction, stays under it.
    body_bytes: int = 2 * 2**20
    body_seconds: float = 5.0
    # Label Studio hangs up after one second, and its reviewer waits as long.
    answer_seconds: float = 0.8


class Route:
    """The route of one door."""

    def __init__(self, door: WebhookDoor) -> None:
        self._door = door
        self._threads = anyio.CapacityLimiter(_AT_ONCE)

    async def __call__(self, request: Request) -> Response:
        """Answer 204 once the hint is kept, whether or not it is about anything of ours."""
        door = self._door
        if not is_secret(request.headers.get(door.header), door.secret):
            detail = f"send the secret that this server was given in {door.header}"
            raise RequestRefused(401, "unauthorized", detail)
        body = await read_body(request, limit=door.body_bytes, seconds=door.body_seconds)
        said = json_of(body)
        project_id = _project_of(said)
        if project_id is None:
            detail = "names no project; let the webhook send its payload"
            raise RequestRefused(422, "no_project", detail)
        with anyio.move_on_after(door.answer_seconds):
            await anyio.to_thread.run_sync(
                door.wake,
                project_id,
                list(_tasks_of(said))[:_MOST_TASKS],
                limiter=self._threads,
                abandon_on_cancel=True,
            )
            return Response(status_code=204)
        detail = "the hint could not be kept in time; the next collection finds it anyway"
        raise RequestRefused(503, "busy", detail, retry_after_seconds=5)


def _project_of(said: Any) -> int | None:
    return next(_numbers([_at(said, "project", "id"), _at(said, "project")]), None)


def _tasks_of(said: Any) -> Iterator[int]:
    """The tasks that a body speaks of: whole ones, or those of its annotations."""
    many = [*_list(_at(said, "tasks")), *_list(_at(said, "annotations")), _at(said, "annotation")]
    yield from _numbers(
        [_at(said, "task", "id"), *(_at(one, "task") for one in many)]
        + [_at(one, "id") for one in _list(_at(said, "tasks"))]
    )


def _at(value: Any, *names: str) -> Any:
    for name in names:
        value = value.get(name) if isinstance(value, dict) else None
    return value


def _list(value: Any) -> list[Any]:
    return value if isinstance(value, list) else []


def _numbers(values: Iterable[Any]) -> Iterator[int]:
    for one in values:
        if isinstance(one, int) and not isinstance(one, bool) and one > 0:
            yield one
