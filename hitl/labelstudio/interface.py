"""The labelling interface, from the policy: what a reviewer reads, and what they can answer."""

from __future__ import annotations

import hashlib
from html import escape
from xml.etree import ElementTree as ET

from hitl.labelstudio.server import ProjectSpec
from hitl.policy import Category, Policy
from hitl.records import PolicyId, Stage

VIOLATIONS = "violations"
CANNOT_TELL = "cannot_tell"
SEVERITY = "severity"
RATIONALE = "rationale"
NONE = "none"
NONE_HOTKEY = "0"

_TITLE_LENGTH = 50  # Label Studio takes 3 to 50

_SEVERITIES = (("1", "1 minor"), ("2", "2"), ("3", "3"), ("4", "4 extreme"))

# Colours come from Label Studio's own variables, so that its dark theme works too. The side
# panels list regions, of which this interface has none: they would take a quarter of the screen.
_STYLE = """
.lsf-sidepanels__wrapper { display: none; }
.lsf-sidepanels { padding-left: 0 !important; padding-right: 0 !important; }
.hitl { max-width: 1240px; margin: 0 auto; line-height: 1.5; }
.hitl-columns { display: flex; gap: 24px; align-items: flex-start; flex-wrap: wrap; }
.hitl-left { flex: 3 1 440px; min-width: 0; }
.hitl-right { flex: 2 1 360px; min-width: 0; }
.hitl-card { border: 1px solid var(--color-neutral-border, #dcdcdc); border-radius: 8px;
  padding: 14px 18px; margin-bottom: 16px; }
.hitl-content { max-height: 60vh; overflow: auto; }
.hitl-content .lsf-richtext__container { font-size: 17px; line-height: 1.6; padding: 4px;
  white-space: pre-wrap; overflow-wrap: anywhere; unicode-bidi: plaintext; text-align: start; }
.hitl-card h4 { font-size: 15px; font-weight: 600; margin: 0 0 6px !important; }
.hitl-about h4 { font-size: 13px; font-weight: 500; margin: 2px 4px 6px !important; opacity: .75; }
.hitl-words h4 { font-size: 14px; line-height: 1.5; font-weight: 400; margin: 0 0 6px !important;
  white-space: pre-wrap; overflow-wrap: anywhere; }
.hitl-words .hitl-rule h4 { font-weight: 600; margin: 10px 0 0 !important; }
.hitl-card [data-testid="textarea-submit-section"] { display: none !important; }
""".strip()


def labelling_interface(policy: Policy) -> str:
    """The labelling configuration as XML. The same policy gives the same bytes.

    Answers: `violations` (required; category ids, or `none`), `cannot_tell` (optional; category
    ids), `severity` (1 to 4, where the policy asks it), `rationale` (free text, likewise).
    """
    root = ET.Element("View", className="hitl")
    ET.SubElement(root, "Style").text = _STYLE
    columns = _view(root, "hitl-columns")
    _content_side(_view(columns, "hitl-left"), policy)
    _answer_side(_view(columns, "hitl-right"), policy)
    ET.indent(root)
    return ET.tostring(root, encoding="unicode")


def interface_hash(interface: str) -> str:
    """The first 16 hex digits of its SHA-256."""
    return hashlib.sha256(interface.encode()).hexdigest()[:16]


def marker_of(policy_id: PolicyId, stage: Stage) -> str:
    """What the project's description says, and by which we find it again."""
    return f"hitl {policy_id} {stage.value}"


def project_spec(policy: Policy, stage: Stage) -> ProjectSpec:
    """How the Label Studio project of this policy and stage must be."""
    adjudication = stage is Stage.ADJUDICATION
    return ProjectSpec(
        marker=marker_of(policy.policy_id, stage),
        title=_title(policy, " · adjudication" if adjudication else ""),
        interface=labelling_interface(policy),
        instructions=_instructions_page(policy),
        # A lead rules alone; first reviews are as many as the policy wants.
        overlap=1 if adjudication else policy.votes_wanted,
    )


def _title(policy: Policy, suffix: str) -> str:
    ending = f" · v{policy.version}{suffix}"
    room = _TITLE_LENGTH - len(ending)
    title = policy.title if len(policy.title) <= room else policy.title[: room - 1].rstrip() + "…"
    return title + ending


def _view(parent: ET.Element, style: str) -> ET.Element:
    return ET.SubElement(parent, "View", className=style)


def _content_side(parent: ET.Element, policy: Policy) -> None:
    about = _view(parent, "hitl-about")
    ET.SubElement(about, "Header", value="$about", size="6")
    if policy.show_model_opinion:
        ET.SubElement(about, "Header", value="$opinion", size="6")
    card = _view(parent, "hitl-card hitl-content")
    # Text shows markup as it is written; `text` and not a URL to fetch, whatever it looks like.
    ET.SubElement(card, "Text", name="content", value="$text", valueType="text")
    rules = ET.SubElement(parent, "Collapse", accordion="false", bordered="true", open="true")
    if policy.instructions:
        words = _view(ET.SubElement(rules, "Panel", value="Instructions"), "hitl-words")
        for paragraph in _paragraphs(policy.instructions):
            ET.SubElement(words, "Header", value=_plain(paragraph), size="6")
    words = _view(ET.SubElement(rules, "Panel", value="What each rule means"), "hitl-words")
    for category in policy.category:
        title = _plain(f"{category.title} [{category.hotkey}]")
        ET.SubElement(_view(words, "hitl-rule"), "Header", value=title, size="6")
        ET.SubElement(words, "Header", value=_plain(category.definition), size="6")


def _answer_side(parent: ET.Element, policy: Policy) -> None:
    card = _view(parent, "hitl-card")
    ET.SubElement(card, "Header", value="Which rules does it break?", size="6")
    violations = ET.SubElement(
        card,
        "Choices",
        name=VIOLATIONS,
        toName="content",
        choice="multiple",
        required="true",
        requiredMessage="Choose the rules it breaks, or none of these.",
    )
    for category in policy.category:
        _choice(violations, category, hotkey=category.hotkey)
    ET.SubElement(violations, "Choice", value="None of these", alias=NONE, hotkey=NONE_HOTKEY)
    if policy.ask_severity:
        _severity(parent, policy)
    card = _view(parent, "hitl-card")
    unsure = ET.SubElement(card, "Collapse", bordered="false")
    panel = ET.SubElement(unsure, "Panel", value="I cannot tell for some rules")
    choices = ET.SubElement(panel, "Choices", name=CANNOT_TELL, toName="content", choice="multiple")
    for category in policy.category:
        _choice(choices, category, hotkey=f"shift+{category.hotkey}")
    if policy.ask_rationale:
        ET.SubElement(card, "Header", value="Why? (optional)", size="6")
        ET.SubElement(
            card,
            "TextArea",
            name=RATIONALE,
            toName="content",
            rows="2",
            maxSubmissions="1",
            editable="true",
            placeholder="A few words for whoever reads this later",
        )


def _choice(parent: ET.Element, category: Category, *, hotkey: str) -> None:
    ET.SubElement(
        parent,
        "Choice",
        value=_plain(category.title),
        alias=category.id,
        hotkey=hotkey,
        hint=_plain(category.definition),
    )


def _severity(parent: ET.Element, policy: Policy) -> None:
    card = ET.SubElement(
        parent,
        "View",
        className="hitl-card",
        visibleWhen="choice-selected",
        whenTagName=VIOLATIONS,
        # Ids, which hold no comma; a title may.
        whenChoiceValue=",".join(policy.category_ids),
    )
    ET.SubElement(card, "Header", value="How severe is it?", size="6")
    choices = ET.SubElement(
        card, "Choices", name=SEVERITY, toName="content", choice="single", layout="inline"
    )
    for alias, title in _SEVERITIES:
        ET.SubElement(choices, "Choice", value=title, alias=alias)


def _plain(words: str) -> str:
    """Words that Label Studio shows as they are.

    It takes `$name` for a field of the task, and then refuses tasks without that field. A word
    joiner behind the sign is invisible and breaks the name.
    """
    return words.replace("$", "$\N{WORD JOINER}")


def _paragraphs(words: str) -> list[str]:
    return [one.strip() for one in words.split("\n\n") if one.strip()]


def _instructions_page(policy: Policy) -> str:
    """What Label Studio shows behind its Instructions button, as HTML."""
    paragraphs = "".join(f"<p>{_html(one)}</p>" for one in _paragraphs(policy.instructions))
    definitions = "".join(
        f"<dt><b>{_html(one.title)}</b> [{_html(one.hotkey)}]</dt><dd>{_html(one.definition)}</dd>"
        for one in policy.category
    )
    return f"{paragraphs}<dl>{definitions}</dl>"


def _html(words: str) -> str:
    # Exactly as Label Studio stores it, or the project would seem to differ at every dispatch.
    return escape(words.replace("\r\n", "\n").replace("\r", "\n")).replace("\n", "<br>")
