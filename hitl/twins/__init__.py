"""Near copies: which items are so alike that one review can stand for all of them."""

from hitl.twins.fingerprints import Scheme, Signatures, text_scheme, text_signatures
from hitl.twins.proposals.offers import forms_of, offers
from hitl.twins.proposals.store import (
    Checked,
    OfferCounts,
    add_offers,
    count_offers,
    read_checked,
    read_due,
    read_pairs,
    read_proposed,
    read_signatures,
)
from hitl.twins.store import (
    Clusters,
    Linked,
    SchemeLine,
    clusters_of,
    keep_scheme,
    link,
    read_clusters,
    scheme_lines,
    unlinked,
)

__all__ = [
    "Checked",
    "Clusters",
    "Linked",
    "OfferCounts",
    "Scheme",
    "SchemeLine",
    "Signatures",
    "add_offers",
    "clusters_of",
    "count_offers",
    "forms_of",
    "keep_scheme",
    "link",
    "offers",
    "read_checked",
    "read_clusters",
    "read_due",
    "read_pairs",
    "read_proposed",
    "read_signatures",
    "scheme_lines",
    "text_scheme",
    "text_signatures",
    "unlinked",
]
