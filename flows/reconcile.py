"""Do the books agree? Our own counts, and Label Studio's beside them."""

from __future__ import annotations

from flows.wiring import World
from hitl import labelstudio
from hitl.db import begin
from hitl.reports import Account, accounts, count_loop


def reconcile(world: World, *, label_studio: bool = True) -> list[Account]:
    """Every account of the world's policy.

    Raises:
        LabelStudioUnavailable: it is away; pass `label_studio=False` to leave it out.
    """
    with begin(world.engine) as tx:
        counts = count_loop(tx, world.policy.policy_id)
        projects = labelstudio.store.projects(tx, world.policy)
    if not label_studio:
        return accounts(counts)
    tasks = annotations = 0
    for project in projects:
        for page in world.label_studio.marks(project.project_id):
            tasks += len(page.tasks)
            annotations += sum(len(task.annotations) for task in page.tasks)
    return accounts(counts, tasks_in_label_studio=tasks, annotations_in_label_studio=annotations)
