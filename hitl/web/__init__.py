"""HTTP: one application for producers that push, Label Studio's webhooks, and operators."""

from hitl.web import store
from hitl.web.allowance import Allowance
from hitl.web.app import create_app
from hitl.web.figures import Figure, Figures
from hitl.web.problems import RequestRefused
from hitl.web.push import Answer, KeyTaken, Limits, Push, PushDoor
from hitl.web.tokens import Tokens
from hitl.web.webhook import WebhookDoor

__all__ = [
    "Allowance",
    "Answer",
    "Figure",
    "Figures",
    "KeyTaken",
    "Limits",
    "Push",
    "PushDoor",
    "RequestRefused",
    "Tokens",
    "WebhookDoor",
    "create_app",
    "store",
]
