"""Ports of 127.0.0.1 that a server can have, and keep."""

from __future__ import annotations

import hashlib
import random
import socket

# Below the range from which the system hands out ports by itself (32768 and up), so that a
# stopped server's remembered port is not lost to somebody's outgoing connection.
_PORTS = range(20_000, 30_000)


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
