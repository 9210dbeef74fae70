"""HTTP: one application for producers that push, Label Studio's webhooks, and operators."""

from hitl.web import store
from hitl.web.app import create_app
from hitl.web.figures import Figure, Figures
from hitl.web.problems import RequestRefused

__all__ = ["Figure", "Figures", "RequestRefused", "create_app", "store"]
