"""A web application that listens on a port of this machine, for as long as a test asks it."""

from __future__ import annotations

import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager

import httpx
from starlette.types import ASGIApp

from flows.serve import listen, server_of


@contextmanager
def serving(app: ASGIApp) -> Iterator[httpx.Client]:
    """A client of the application, run by the server that `hitl serve` runs it by."""
    listening = listen("127.0.0.1", 0)
    server = server_of(app)
    thread = threading.Thread(target=server.run, kwargs={"sockets": [listening]})
    thread.start()
    while not server.started:
        time.sleep(0.005)
    port = listening.getsockname()[1]
    try:
        with httpx.Client(
            base_url=f"http://127.0.0.1:{port}", trust_env=False, timeout=60
        ) as client:
            yield client
    finally:
        server.should_exit = True
        thread.join()
        listening.close()
