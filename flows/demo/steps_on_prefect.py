"""The demo's steps as flow runs on its Prefect server, and Ctrl-C that none of them can swallow."""

from __future__ import annotations

import asyncio
import signal
import time
from collections.abc import Callable, Coroutine
from types import FrameType, TracebackType
from typing import Any, Self, TypeVar

from hitl.errors import Unavailable

PATIENCE_SECONDS = 300.0
_PAUSE_SECONDS = 2.0

T = TypeVar("T")


class CtrlC:
    """Ctrl-C, noted when it is heard. A context manager for the main thread.

    Prefect may take a cancellation that comes at the end of a run for nothing at all. So the wish
    is kept here, and raised as soon as the run is over.
    """

    def __init__(self) -> None:
        self._is_asked = False
        self._is_deaf = False
        self._running: tuple[asyncio.AbstractEventLoop, asyncio.Task[Any]] | None = None

    def __enter__(self) -> Self:
        self._before = signal.signal(signal.SIGINT, self._hear)
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        signal.signal(signal.SIGINT, self._before)

    def run(self, work: Coroutine[Any, Any, T]) -> T:
        """`asyncio.run`, cancelled by the first Ctrl-C and left at once by a second one.

        Raises:
            KeyboardInterrupt: Ctrl-C was pressed, whatever the work made of it.
        """

        async def watched() -> T:
            task = asyncio.current_task()
            if task is not None:  # which a running coroutine always has
                self._running = (asyncio.get_running_loop(), task)
            try:
                return await work
            finally:
                self._running = None

        try:
            return asyncio.run(watched())
        finally:
            self.check()

    def check(self) -> None:
        """Raise KeyboardInterrupt if Ctrl-C was pressed."""
        if self._is_asked:
            raise KeyboardInterrupt

    def deafen(self) -> None:
        """From here on Ctrl-C does nothing: the servers are being stopped, as it asks."""
        self._is_deaf = True

    def _hear(self, _signal: int, _frame: FrameType | None) -> None:
        if self._is_deaf:
            return
        running, is_first = self._running, not self._is_asked
        self._is_asked = True
        if running is None or not is_first:
            raise KeyboardInterrupt
        loop, task = running
        task.cancel()
        loop.call_soon_threadsafe(lambda: None)  # wakes the loop, which may sleep


class StepBusy(Unavailable):
    """Somebody else has been running this step in the demo's world all the while."""

    def __init__(self, name: str) -> None:
        super().__init__(
            f"{name}: another run of this step has been at work for {PATIENCE_SECONDS:.0f} s; end "
            "what else uses the demo's state folder (`hitl deploy --serve`?), then run it again"
        )
        self.name = name


class StepsOnPrefect:
    """Runs a step as a flow on the Prefect server and gives its report."""

    def __init__(self, ctrl_c: CtrlC, *, sleep: Callable[[float], None] = time.sleep) -> None:
        self._ctrl_c = ctrl_c
        self._sleep = sleep

    def __call__(self, name: str, /, **parameters: Any) -> dict[str, Any] | None:
        """The step's report. None: there was nothing to do yet.

        Raises:
            StepBusy: another run of the step did not come to its end.
        """
        from flows import deployed  # Prefect reads its environment at import, so not before now

        waited = 0.0
        while True:
            result = self._ctrl_c.run(getattr(deployed, name)(**parameters))
            if "skipped" not in result:
                report: dict[str, Any] = result["report"]
                return report
            if not result["is_busy"]:
                return None
            if waited >= PATIENCE_SECONDS:
                raise StepBusy(name)
            self._sleep(_PAUSE_SECONDS)
            waited += _PAUSE_SECONDS
