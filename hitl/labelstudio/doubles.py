"""Tasks that are there twice: only what nobody has answered may be removed."""

from __future__ import annotations

from collections.abc import Sequence

from hitl.labelstudio.server import LabelStudio


def remove_unanswered(server: LabelStudio, project_id: int, task_ids: Sequence[int]) -> list[int]:
    """Delete those of these tasks that nobody has answered by now. Which they were.

    They are looked at once more, because reviewers work while we decide; Label Studio deletes
    whatever it is told to, with its annotations.
    """
    if not task_ids:
        return []
    there = server.tasks(project_id, task_ids)
    unanswered = sorted(task.task_id for task in there if not task.annotations)
    if unanswered:
        server.delete_tasks(project_id, unanswered)
    return unanswered
