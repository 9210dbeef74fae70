"""By which rules, and how: policies and recipes, each version kept."""

from sqlalchemy import Column, ForeignKey, Index, PrimaryKeyConstraint, Table, Text
from sqlalchemy.dialects.postgresql import JSONB

from hitl.db.schema.base import metadata, now

policies = Table(
    "policies",
    metadata,
    Column("policy_id", Text, primary_key=True),
    Column("name", Text, nullable=False),
    Column("version", Text, nullable=False),
    Column("body", JSONB, nullable=False),
    now("created_at"),
)

# What each version asks of a reviewer. Labels of one version count for every other that asks the
# same: a moved threshold or hotkey costs no label, a reworded definition costs its category's.
policy_categories = Table(
    "policy_categories",
    metadata,
    Column("policy_id", Text, ForeignKey("policies.policy_id"), nullable=False),
    Column("category", Text, nullable=False),
    Column("meaning", Text, nullable=False),
    PrimaryKeyConstraint("policy_id", "category"),
)
Index("ix_policy_categories_meaning", policy_categories.c.category, policy_categories.c.meaning)

recipes = Table(
    "recipes",
    metadata,
    Column("recipe_id", Text, primary_key=True),
    Column("body", JSONB, nullable=False),
    now("created_at"),
)
