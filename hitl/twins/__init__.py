"""Near copies: which items are so alike that one review can stand for all of them."""

from hitl.twins.fingerprints import Scheme, Signatures, text_scheme, text_signatures
from hitl.twins.store import (
    Clusters,
    Linked,
    SchemeLine,
    keep_scheme,
    link,
    read_clusters,
    scheme_lines,
    unlinked,
)

__all__ = [
    "Clusters",
    "Linked",
    "Scheme",
    "SchemeLine",
    "Signatures",
    "keep_scheme",
    "link",
    "read_clusters",
    "scheme_lines",
    "text_scheme",
    "text_signatures",
    "unlinked",
]
