"""Who may become champion, and to whom a rollback goes back; from values alone."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any

from hitl.records import ModelState, ModelVersion
from hitl.registry.errors import NotPromotable

PROMOTE = "promote"
PROMOTION = "promotion"
ROLLBACK = "rollback"


@dataclass(frozen=True, slots=True)
class Verdict:
    """What the gate said of a challenger beside the champion of that time, None: without one.

    `reasons` are as JSON holds them: the rule, what it found, and `words` that say so.
    """

    verdict_id: int
    challenger: ModelVersion
    champion: ModelVersion | None
    decision: str
    reasons: tuple[Mapping[str, Any], ...]


@dataclass(frozen=True, slots=True)
class Change:
    """One change of champion; `kind` is promotion or rollback."""

    kind: str
    model_version: ModelVersion
    previous: ModelVersion | None


def check_promotion(
    model_version: ModelVersion,
    state: ModelState,
    verdict: Verdict | None,
    *,
    champion: ModelVersion | None,
    force: bool,
    note: str,
) -> None:
    """Refuse what may not be promoted.

    The gate must have said `promote` of this challenger beside today's champion. A person may
    take it on themselves (`force`) with a note; nobody promotes what is not a challenger.

    Raises:
        NotPromotable: says why, and what to do instead.
    """
    if state is ModelState.RETIRED:
        raise NotPromotable(
            model_version, "was champion and is retired; `hitl rollback` alone brings one back"
        )
    if state is not ModelState.CHALLENGER:
        raise NotPromotable(model_version, f"is {state}, not a challenger; run `hitl train`")
    if verdict is not None and verdict.challenger != model_version:
        raise NotPromotable(
            model_version,
            f"verdict {verdict.verdict_id} is about {verdict.challenger}; run `hitl gate`",
        )
    if force:
        if not note.strip():
            raise NotPromotable(
                model_version, 'promoting against the gate needs a reason: add --note "…"'
            )
        return
    if verdict is None:
        raise NotPromotable(model_version, "was not judged yet; run `hitl gate`")
    if verdict.decision != PROMOTE:
        raise NotPromotable(
            model_version,
            f"the gate says {verdict.decision}; label more and train again, "
            'or take it on yourself with --force --note "…"',
        )
    if verdict.champion != champion:
        raise NotPromotable(
            model_version,
            f"was judged beside {verdict.champion or 'no champion'}, and the champion is now "
            f"{champion or 'none'}; run `hitl gate` again",
        )


def standing(changes: Iterable[Change]) -> list[ModelVersion]:
    """The champions that a rollback can go back through; the last one is champion.

    A rollback takes the last one away for good: after A, B, C and a rollback to B, the next goes
    to A and not to C.
    """
    line: list[ModelVersion] = []
    for change in changes:
        if change.kind == ROLLBACK:
            line.pop()
        else:
            line.append(change.model_version)
    return line
