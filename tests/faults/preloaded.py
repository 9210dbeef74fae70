"""What every child process imports, imported once in the fork server."""

# The steps import these when they run.
import flows.collect_annotations
import flows.dispatch_batch
import flows.freeze_snapshot
import flows.ingest_decisions
import flows.promote_champion
import flows.select_batch  # noqa: F401
import hitl.labelstudio.client
import tests.faults.steps  # noqa: F401

# So that a small project is listed in several pages: between two of them a step can be killed.
hitl.labelstudio.client._PAGE = 8
