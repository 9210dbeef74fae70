"""What flows read: votes, labels and examples as they stand, and what near copies were offered."""

from __future__ import annotations

# Read by flows. A view, so that an example can never disagree with the labels it comes from.
WORKING_VIEWS: dict[str, str] = {
    # The newest version of each annotation, if it is a submission we could count.
    "current_votes": """
        SELECT DISTINCT ON (v.entry_id, v.stage, v.reviewer) v.*
        FROM (
            SELECT DISTINCT ON (unique_id) unique_id, updated_at, kind
            FROM annotations ORDER BY unique_id, updated_at DESC
        ) newest
        JOIN votes v USING (unique_id, updated_at)
        WHERE newest.kind = 'submitted'
        ORDER BY v.entry_id, v.stage, v.reviewer, v.updated_at DESC
    """,
    "current_labels": """
        SELECT newest.* FROM (
            SELECT DISTINCT ON (entry_id, category) * FROM labels
            ORDER BY entry_id, category, revision DESC
        ) newest WHERE newest.value IS NOT NULL
    """,
    # Every label once for each policy version that asks what it answers: see policy_categories.
    "labels_by_policy": """
        SELECT asking.policy_id AS for_policy_id, l.*
        FROM current_labels l
        JOIN policy_categories asked
          ON asked.policy_id = l.policy_id AND asked.category = l.category
        JOIN policy_categories asking
          ON asking.category = asked.category AND asking.meaning = asked.meaning
    """,
    # Policy versions that ask at least one question alike, each with itself too.
    "related_policies": """
        SELECT DISTINCT a.policy_id, b.policy_id AS related_id
        FROM policy_categories a
        JOIN policy_categories b ON b.category = a.category AND b.meaning = a.meaning
    """,
    # One row an item and policy: its newest entry with labels; one of a look at a backlog on the
    # measuring side only where there is no other, for it neither trains nor measures.
    "examples": """
        SELECT DISTINCT ON (item_id, policy_id) * FROM (
            SELECT l.item_id, l.for_policy_id AS policy_id, l.entry_id, e.batch_id,
                   i.text, i.language, i.surface,
                   coalesce(i.group_id, i.content_hash, i.item_id) AS group_id,
                   jsonb_object_agg(l.category, l.value ORDER BY l.category) AS labels,
                   min(l.weight) AS example_weight,
                   p.inclusion_probability, p.share, p.strategy,
                   max(l.label_id) AS last_label_id
            FROM labels_by_policy l
            JOIN entries e USING (entry_id)
            JOIN picks p ON p.batch_id = e.batch_id AND p.item_id = e.item_id
            JOIN items i ON i.item_id = l.item_id
            WHERE i.text IS NOT NULL
            GROUP BY l.item_id, l.for_policy_id, l.entry_id, e.batch_id, i.text, i.language,
                     i.surface, i.group_id, i.content_hash, i.item_id,
                     p.inclusion_probability, p.share, p.strategy
        ) every ORDER BY item_id, policy_id, share = 'elusion_apart', entry_id DESC
    """,
    # What is offered to a near copy, and what a reviewer has said of that copy itself since.
    "proposal_answers": """
        SELECT o.item_id, o.entry_id, l.for_policy_id AS policy_id, l.category,
               l.value AS offered, l.weight, l.label_id, own.value AS found
        FROM proposals o
        JOIN labels_by_policy l USING (entry_id)
        LEFT JOIN LATERAL (
            SELECT x.value FROM labels_by_policy x
            WHERE x.item_id = o.item_id AND x.for_policy_id = l.for_policy_id
              AND x.category = l.category
            ORDER BY x.entry_id DESC LIMIT 1
        ) own ON true
    """,
    "checked_proposals": """
        SELECT o.item_id, o.entry_id, a.policy_id, o.is_audited,
               bool_or(a.found IS NOT NULL) AS is_answered,
               coalesce(bool_or(a.found <> a.offered), false) AS is_wrong
        FROM proposals o JOIN proposal_answers a USING (item_id, entry_id)
        GROUP BY o.item_id, o.entry_id, a.policy_id, o.is_audited
    """,
}
