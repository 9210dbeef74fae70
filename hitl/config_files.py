"""Reading a TOML file into a checked record; errors name the file, the key and the mend."""

from __future__ import annotations

import hashlib
import json
import tomllib
from pathlib import Path
from typing import Any, TypeVar

from pydantic import BaseModel, ValidationError

from hitl.errors import Refused

_Model = TypeVar("_Model", bound=BaseModel)

# Pydantic's own words are exact but say nothing of the mend; these do.
_MENDS = {
    "missing": "add this key",
    "extra_forbidden": "no such key here; remove it or mend its spelling",
    "string_type": "write it as text in quotes",
    "int_type": "write a whole number",
    "int_parsing": "write a whole number",
    "float_type": "write a number",
    "float_parsing": "write a number",
    "bool_type": "write true or false",
    "list_type": "write a list in [brackets]",
}


class BadConfigFile(Refused):
    """A policy or recipe file does not say what it must. Carries the file and every fault."""

    def __init__(self, path: str, faults: list[str]) -> None:
        lines = "\n".join(f"  {fault}" for fault in faults)
        super().__init__(f"{path}: {len(faults)} thing(s) to mend\n{lines}")
        self.path = path
        self.faults = faults


def read_toml(path: Path, model: type[_Model], *, error: type[BadConfigFile]) -> _Model:
    """Parse and check `path`.

    Raises:
        error: the file cannot be read, is not TOML, or a key is wrong; every fault at once.
    """
    try:
        body = tomllib.loads(path.read_text(encoding="utf-8-sig"))  # some editors write a BOM
    except FileNotFoundError as cause:
        raise error(
            str(path), ["no such file; give its path, or copy the shipped one from hitl/defaults/"]
        ) from cause
    except OSError as cause:
        what = f"cannot be read ({cause.strerror}); give the path of a file that you may read"
        raise error(str(path), [what]) from cause
    except (tomllib.TOMLDecodeError, UnicodeDecodeError) as cause:
        raise error(str(path), [f"not valid TOML: {cause}"]) from cause
    return check(body, model, where=str(path), error=error)


def check(
    body: dict[str, Any], model: type[_Model], *, where: str, error: type[BadConfigFile]
) -> _Model:
    """Check an already parsed body; `where` is what the message calls it."""
    try:
        return model.model_validate(body)
    except ValidationError as cause:
        raise error(where, [_fault(one) for one in _causes(cause.errors())]) from cause


def _causes(found: list[Any]) -> list[Any]:
    """Without what only follows from another fault: bad rows do not make their list empty."""
    where = [one["loc"] for one in found]
    return [
        one
        for one in found
        if not any(
            other != one["loc"] and other[: len(one["loc"])] == one["loc"] for other in where
        )
    ]


def _fault(one: Any) -> str:
    key = ""
    for part in one["loc"]:
        key += f"[{part}]" if isinstance(part, int) else f".{part}"
    message = one["msg"].removeprefix("Value error, ")
    mend = _MENDS.get(one["type"])
    return f"{key.lstrip('.') or '(whole file)'}: {message}" + (f"; {mend}" if mend else "")


def fingerprint(model: BaseModel) -> str:
    """The first 12 hex digits of SHA-256 over the canonical JSON: equal content, equal name."""
    return digest(model.model_dump(mode="json"))


def digest(body: dict[str, Any]) -> str:
    """The same of a plain body."""
    canonical = json.dumps(body, sort_keys=True, separators=(",", ":"))
    return hashlib.sha256(canonical.encode()).hexdigest()[:12]
