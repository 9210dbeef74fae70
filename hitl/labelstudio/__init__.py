"""Label Studio: the interface reviewers see, tasks there, annotations back."""

from hitl.labelstudio import store
from hitl.labelstudio.answers import store as answers
from hitl.labelstudio.archive import store as archive
from hitl.labelstudio.client import LabelStudioClient
from hitl.labelstudio.doubles import remove_unanswered
from hitl.labelstudio.errors import (
    ImportRefused,
    LabelStudioRefused,
    LabelStudioUnavailable,
    ProjectGone,
    ProjectIsAnother,
    RequestRefused,
    WebhookRefused,
)
from hitl.labelstudio.interface import (
    interface_hash,
    labelling_interface,
    marker_of,
    project_spec,
)
from hitl.labelstudio.payloads import (
    KnownTask,
    NotCounted,
    TaskContent,
    annotations_of,
    claim_of,
    deleted_version,
    differs,
    people_of,
    task_data,
    unique_id_of,
    vote_from,
)
from hitl.labelstudio.pushes import store as pushes
from hitl.labelstudio.server import (
    SECRET_HEADER,
    Account,
    LabelStudio,
    Page,
    ProjectSpec,
    SeenTask,
    Webhook,
)
from hitl.labelstudio.window import Pace, pace_of, window_for

__all__ = [
    "SECRET_HEADER",
    "Account",
    "ImportRefused",
    "KnownTask",
    "LabelStudio",
    "LabelStudioClient",
    "LabelStudioRefused",
    "LabelStudioUnavailable",
    "NotCounted",
    "Pace",
    "Page",
    "ProjectGone",
    "ProjectIsAnother",
    "ProjectSpec",
    "RequestRefused",
    "SeenTask",
    "TaskContent",
    "Webhook",
    "WebhookRefused",
    "annotations_of",
    "answers",
    "archive",
    "claim_of",
    "deleted_version",
    "differs",
    "interface_hash",
    "labelling_interface",
    "marker_of",
    "pace_of",
    "people_of",
    "project_spec",
    "pushes",
    "remove_unanswered",
    "store",
    "task_data",
    "unique_id_of",
    "vote_from",
    "window_for",
]
