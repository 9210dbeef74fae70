"""Near copies: which items are so alike that one review can stand for all of them."""

from hitl.twins.fingerprints import Scheme, Signatures, text_scheme, text_signatures
from hitl.twins.store import Linked, SchemeLine, keep_scheme, link, scheme_lines, unlinked

__all__ = [
    "Linked",
    "Scheme",
    "SchemeLine",
    "Signatures",
    "keep_scheme",
    "link",
    "scheme_lines",
    "text_scheme",
    "text_signatures",
    "unlinked",
]
