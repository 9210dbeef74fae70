"""Near copies: how items are compared, which are alike, and labels offered from one to others."""

from sqlalchemy import (
    BigInteger,
    Boolean,
    CheckConstraint,
    Column,
    Double,
    ForeignKey,
    Identity,
    LargeBinary,
    PrimaryKeyConstraint,
    SmallInteger,
    Table,
    Text,
)
from sqlalchemy.dialects.postgresql import JSONB

from hitl.db.schema.base import metadata, now

# How items of one kind are compared; a changed bar is another scheme, which links them anew.
twin_schemes = Table(
    "twin_schemes",
    metadata,
    Column("scheme_id", SmallInteger, Identity(always=True), primary_key=True),
    Column("name", Text, nullable=False, unique=True),
    Column("body", JSONB, nullable=False),
    now("created_at"),
)

# A signature that items have, each once; its number is a hash of it. Mutable: `pivot_id`, the form
# that stands for it.
twin_forms = Table(
    "twin_forms",
    metadata,
    Column("form_id", BigInteger, primary_key=True, autoincrement=False),
    Column("scheme_id", SmallInteger, ForeignKey("twin_schemes.scheme_id"), nullable=False),
    Column("pivot_id", BigInteger, nullable=False, index=True),
    Column("signature", LargeBinary, nullable=False),
)

# Where forms meet that may be alike. Pivots stand first in each bucket: most are looked for alone.
# Mutable: `is_pivot`.
twin_buckets = Table(
    "twin_buckets",
    metadata,
    Column("bucket", BigInteger, nullable=False),
    Column("is_pivot", Boolean, nullable=False),
    Column("form_id", BigInteger, nullable=False),
    PrimaryKeyConstraint("bucket", "is_pivot", "form_id"),
)

twin_items = Table(
    "twin_items",
    metadata,
    Column("scheme_id", SmallInteger, ForeignKey("twin_schemes.scheme_id"), nullable=False),
    Column("item_id", Text, ForeignKey("items.item_id"), nullable=False, index=True),
    Column("form_id", BigInteger, ForeignKey("twin_forms.form_id"), nullable=False, index=True),
    PrimaryKeyConstraint("scheme_id", "item_id"),
)

# The labels of an entry, offered to a near copy of its item. What they say follows the entry's
# current labels (the view `proposal_answers`); they are nobody's labels and never measure a model.
proposals = Table(
    "proposals",
    metadata,
    Column("item_id", Text, ForeignKey("items.item_id"), nullable=False),
    Column("entry_id", BigInteger, ForeignKey("entries.entry_id"), nullable=False, index=True),
    Column("similarity", Double, nullable=False),
    Column("audit_probability", Double, nullable=False),
    Column("is_audited", Boolean, nullable=False),  # drawn, by that chance, to be checked
    now("offered_at"),
    PrimaryKeyConstraint("item_id", "entry_id"),
    CheckConstraint("similarity BETWEEN 0 AND 1", name="similarity"),
    CheckConstraint("audit_probability > 0 AND audit_probability <= 1", name="audit_probability"),
)
