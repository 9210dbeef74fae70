"""Who may push: bearer tokens by producer, compared in constant time."""

from __future__ import annotations

import hashlib
import hmac
from collections.abc import Iterable

from hitl.web.problems import RequestRefused


class Tokens:
    """Tokens by the name of who pushes with them; several of one name make a rotation.

    Only digests are kept, so a dump of this process's objects shows no token.
    """

    def __init__(self, named: Iterable[tuple[str, str]]) -> None:
        self._digests = [(name, _digest(token)) for name, token in named]

    def __bool__(self) -> bool:
        return bool(self._digests)

    def producer_of(self, authorization: str | None) -> str:
        """Whose token an Authorization header carries.

        Raises:
            RequestRefused: 401, the same for no token, a wrong one and another scheme.
        """
        scheme, _, token = (authorization or "").partition(" ")
        given = _digest(token.strip())
        found = None
        # Every token is compared: the time it takes says nothing of which came near.
        for name, digest in self._digests:
            if hmac.compare_digest(given, digest):
                found = name
        if found is None or scheme.lower() != "bearer":
            raise RequestRefused(
                401,
                "unauthorized",
                "send Authorization: Bearer TOKEN, with a token that this server was given",
                headers={"WWW-Authenticate": "Bearer"},
            )
        return found


def is_secret(given: str | None, secret: str) -> bool:
    """Whether they are equal, in a time that says nothing of where they differ."""
    return hmac.compare_digest(_digest(given or ""), _digest(secret))


def _digest(token: str) -> bytes:
    return hashlib.sha256(token.encode("utf-8", "surrogatepass")).digest()
