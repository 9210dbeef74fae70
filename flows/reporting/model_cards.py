"""Model cards on disk: written anew from rows after every change of champion."""

from __future__ import annotations

from pathlib import Path

from sqlalchemy import Engine

from hitl import registry
from hitl.db import begin


def write_cards(engine: Engine, cards: Path, *, policy_name: str) -> None:
    """The cards of the champion and of the one before it, each whole or not at all.

    Safe to repeat: the same rows give the same bytes.
    """
    with begin(engine) as tx:
        changes = registry.list_promotions(tx, policy_name)
        if not changes:
            return
        newest = changes[-1]
        pages = {
            one: registry.read_card(tx, one)
            for one in (newest.model_version, newest.previous)
            if one is not None
        }
    cards.mkdir(parents=True, exist_ok=True)
    for model_version, page in pages.items():
        path = cards / f"{model_version}.md"
        draft = path.with_name(f".{path.name}")
        draft.write_text(page, encoding="utf-8")
        draft.replace(path)
