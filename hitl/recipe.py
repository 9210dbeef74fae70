"""The recipe: what to do with content, from column names to the gate. Kept with results."""

from __future__ import annotations

from datetime import timedelta
from functools import cached_property
from pathlib import Path
from typing import Annotated, Any, Literal, Self

from pydantic import BaseModel, ConfigDict, Field, model_validator

from hitl.config_files import BadConfigFile, check, fingerprint, read_toml
from hitl.records import Action

Fraction = Annotated[float, Field(ge=0.0, le=1.0, allow_inf_nan=False)]


class BadRecipe(BadConfigFile):
    """The recipe file cannot be used as it is."""


class _Strict(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True)


class ContentColumns(_Strict):
    """Which column of the content source says what. None: the source does not have it."""

    item_id: str = "content_id"
    text: str = "text"
    language: str | None = "language"
    surface: str | None = "surface"
    market: str | None = None
    modality: str | None = None
    group: str | None = None
    created_at: str | None = "created_at"


class DecisionColumns(_Strict):
    """Which column of the decision source says what.

    `probabilities` maps our category id to their column. `actions` maps their word for what was
    done to ours; a word that is not in it sets the row aside. `views_per_hour`: how many people see
    the item, at the moment of the decision; what more see comes up sooner.
    """

    item_id: str = "content_id"
    model_version: str = "model_version"
    decided_at: str = "created_at"
    action: str | None = "predicted_action"
    views_per_hour: str | None = None
    probabilities: dict[str, str] = Field(default_factory=dict)
    actions: dict[str, Action] = Field(
        default_factory=lambda: {
            "allow": Action.ALLOW,
            "review": Action.REVIEW,
            "block": Action.BLOCK,
            "remove": Action.BLOCK,
        }
    )


class Intake(_Strict):
    """How sources are read.

    `shadow_models`: globs of model versions that only run along: on record, never acted on.
    """

    content: ContentColumns = ContentColumns()
    decisions: DecisionColumns = DecisionColumns()
    max_text_characters: Annotated[int, Field(ge=1, le=1_000_000)] = 100_000
    rows_per_chunk: Annotated[int, Field(ge=1, le=200_000)] = 100_000
    shadow_models: tuple[str, ...] = ()


AUDIT = "audit"
"""The share that is always on. Its labels measure and never train; all others' only train."""

PROPOSALS = "proposals"
"""The share that checks what is proposed for near copies."""

ELUSION = "elusion"
"""The share of a look at a backlog, of items on the training side: they train as any other."""

ELUSION_APART = "elusion_apart"
"""The same on the measuring side: such a label says what was found in the backlog and neither
trains nor measures. Its item stays a candidate, so that the audit is drawn as if nobody had
looked (docs/adr/0015)."""

NEVER_TRAINED = (AUDIT, ELUSION_APART)


LEAST_AUDIT = 0.05


class ShareOfPlan(_Strict):
    """One share of a batch: a strategy of `sampling.STRATEGIES` and its fraction.

    `category`: as if that category of the policy were all there is. While no model knows it, the
    share chooses by all of them.
    """

    name: str = Field(min_length=1, max_length=40)
    strategy: str
    fraction: Fraction
    category: str | None = None


class SelectionRecipe(_Strict):
    """How a batch is put together.

    `audit_fraction` of the batch, one item at least, is drawn by chance on the measuring side (a
    fixed `measuring_fraction` of all groups, never trained on); the rest is chosen on the training
    side by `shares` (docs/adr/0005). `audit_floor` of the audit is spread evenly; the rest goes
    where answers narrow what the policy promises most (docs/adr/0014). 1: all of it evenly.

    While `waiting_limit` entries or more wait for a reviewer, no further batch is chosen: by its
    turn it would be of yesterday's model.

    `within_days`: an item is a candidate for so long from when its content came, so that the pool
    does not grow for ever. What measures reckons with it. Unset: for ever.
    """

    batch_size: Annotated[int, Field(ge=1, le=100_000)] = 200
    waiting_limit: Annotated[int, Field(ge=1)] = 1000
    audit_fraction: Fraction = 0.2
    audit_floor: Annotated[float, Field(ge=0.1, le=1.0, allow_inf_nan=False)] = 0.8
    measuring_fraction: Annotated[float, Field(ge=0.05, le=0.95)] = 0.25
    candidates_limit: Annotated[int, Field(ge=100)] = 200_000
    within_days: Annotated[float, Field(gt=0, le=36_500, allow_inf_nan=False)] | None = None
    shares: tuple[ShareOfPlan, ...] = (
        ShareOfPlan(name="uncertain", strategy="uncertain_diverse", fraction=1.0),
    )

    @property
    def within(self) -> timedelta | None:
        """`within_days` as a span of time."""
        return None if self.within_days is None else timedelta(days=self.within_days)

    @model_validator(mode="after")
    def _shares_fill_the_batch(self) -> Self:
        total = sum(share.fraction for share in self.shares)
        if abs(total - 1.0) > 1e-6:
            raise ValueError(f"the fractions of shares add up to {total:g}; make them add up to 1")
        names = [share.name for share in self.shares]
        if self.audit_fraction < LEAST_AUDIT:
            raise ValueError(
                f"audit_fraction is {self.audit_fraction:g}, so little or nothing could ever be "
                f"measured; write at least {LEAST_AUDIT:g}"
            )
        if AUDIT in names:
            raise ValueError(f"a share is named {AUDIT!r}, which is the random one's; rename it")
        if PROPOSALS in names:
            raise ValueError(f"a share is named {PROPOSALS!r}, which checks proposals; rename it")
        for taken in (ELUSION, ELUSION_APART):
            if taken in names:
                raise ValueError(f"a share is named {taken!r}, which looks at backlogs; rename it")
        return self


class RetentionRecipe(_Strict):
    """For how long decisions are kept, and content that nobody was asked about (docs/retention.md).

    `keep_months`: whole months before the one that runs. Unset: everything is kept.
    """

    keep_months: Annotated[int, Field(ge=1, le=600)] | None = None


class LaneMatch(_Strict):
    """What an item must be to belong to a lane: one of each list that is not empty.

    Only what is known of an item without a model: were lanes chosen by score, an audit's wait
    would depend on it.
    """

    policy: tuple[str, ...] = ()
    language: tuple[str, ...] = ()
    modality: tuple[str, ...] = ()
    market: tuple[str, ...] = ()
    surface: tuple[str, ...] = ()


class Lane(_Strict):
    """A lane of the queue. The first one that matches an item takes it.

    `tier` 2 or more: only who may take that tier is given its entries, and Label Studio never
    is. What a quota does not let in is recorded and stays a candidate; audits always come in.
    """

    name: str = Field(pattern=r"^[a-z][a-z0-9_-]{0,39}$")
    match: LaneMatch = LaneMatch()
    sla_minutes: Annotated[float, Field(gt=0, le=525_600, allow_inf_nan=False)] = 1440.0
    tier: Annotated[int, Field(ge=1, le=9)] = 1
    per_minute: Annotated[int, Field(ge=0)] | None = None
    per_hour: Annotated[int, Field(ge=0)] | None = None
    per_day: Annotated[int, Field(ge=0)] | None = None


class QueueRecipe(_Strict):
    """In which order, by when and by whom entries are answered (docs/queue.md).

    `ageing_minutes`: twice the priority is worth so many minutes of waiting. `sla_minutes` is the
    deadline of what no lane matches, `escalation_minutes` that of what was escalated, from then.
    """

    ageing_minutes: Annotated[float, Field(gt=0, le=525_600, allow_inf_nan=False)] = 60.0
    sla_minutes: Annotated[float, Field(gt=0, le=525_600, allow_inf_nan=False)] = 1440.0
    escalation_minutes: Annotated[float, Field(gt=0, le=525_600, allow_inf_nan=False)] = 240.0
    skips_per_day: Annotated[int, Field(ge=0)] = 50
    skips_before_escalation: Annotated[int, Field(ge=1, le=99)] = 3
    failures_before_dead: Annotated[int, Field(ge=1, le=99)] = 5
    lanes: tuple[Lane, ...] = ()

    @model_validator(mode="after")
    def _each_lane_has_a_name_of_its_own(self) -> Self:
        names = [lane.name for lane in self.lanes]
        if "unrouted" in names:
            raise ValueError("'unrouted' is the lane of what no lane matches; rename yours")
        for name in names:
            if names.count(name) > 1:
                raise ValueError(f"two lanes are named {name!r}; rename one")
        return self


class TwinsRecipe(_Strict):
    """Near copies (docs/twins.md). Where `is_on`, one of them is reviewed for all.

    Texts are near copies from `least_similarity` on: the Jaccard similarity of their runs of four
    characters. Where `offers_labels`, what was said of one on the training side is proposed for the
    others there. Each offer is checked by a reviewer with the chance `audit_of_offers`, or with
    less where that would be more than `audits_an_answer` on average. Nothing is learned from
    proposals but where `trains_on_offers`.
    """

    is_on: bool = False
    least_similarity: Annotated[float, Field(ge=0.5, le=1.0, allow_inf_nan=False)] = 0.7
    offers_labels: bool = False
    audit_of_offers: Annotated[float, Field(ge=0.01, le=1.0, allow_inf_nan=False)] = 0.1
    audits_an_answer: Annotated[int, Field(ge=1, le=1000)] = 3
    trains_on_offers: bool = False

    @model_validator(mode="after")
    def _what_is_used_is_on(self) -> Self:
        if self.offers_labels and not self.is_on:
            raise ValueError("offers_labels needs is_on: set both, or neither")
        if self.trains_on_offers and not self.offers_labels:
            raise ValueError("trains_on_offers needs offers_labels: set both, or neither")
        return self


class DispatchRecipe(_Strict):
    """How many open tasks Label Studio holds, and how many go there in one call.

    As many as the reviewers answer in `minutes_ahead` at their latest pace, from `least_window`
    to `window`, and `window` while their pace is not known. What becomes urgent waits behind them.

    `tasks_per_project`: of how many finished tasks a project is kept. More make every next task
    slower, so the oldest are taken out of Label Studio once all of them is stored (0: never).
    """

    window: Annotated[int, Field(ge=1, le=10_000)] = 400
    least_window: Annotated[int, Field(ge=1, le=10_000)] = 40
    minutes_ahead: Annotated[float, Field(gt=0.0, le=1440.0)] = 60.0
    tasks_per_push: Annotated[int, Field(ge=1, le=1_000)] = 200
    tasks_per_project: Annotated[int, Field(ge=0)] = 5000


class CollectRecipe(_Strict):
    """How labels come back.

    `overlap_seconds`: how far each poll looks back past its watermark, because Label Studio sets
    `updated_at` before it commits. `sweep_minutes`: how often every open task is looked at
    whatever its `updated_at`, because a crash of Label Studio can leave that stale.
    `archive_after_hours`: for how long a reviewer may still mend an answer, at least; only then
    may its task be taken out of Label Studio (`dispatch.tasks_per_project`).
    """

    overlap_seconds: Annotated[float, Field(ge=10.0)] = 60.0
    sweep_minutes: Annotated[float, Field(ge=0.0)] = 10.0
    archive_after_hours: Annotated[float, Field(gt=0.0)] = 24.0


class TrainingRecipe(_Strict):
    """What goes into the text model's training; passed on as plain values.

    `prior_items`: of how many items the decisions of earlier models are learned from, as one more
    head that is weighed against the labels; 0 learns from labels alone.
    """

    seed: int = 20260101
    threads: Annotated[int, Field(ge=1, le=64)] = 1
    folds: Annotated[int, Field(ge=2, le=20)] = 5
    embedding_dimensions: Annotated[int, Field(ge=2, le=1024)] = 256
    prior_items: Annotated[int, Field(ge=0, le=1_000_000)] = 20_000
    min_labels: Annotated[int, Field(ge=1)] = 100
    retrain_after_labels: Annotated[int, Field(ge=1)] = 200


class GateRecipe(_Strict):
    """When a challenger may replace the champion (docs/gate.md)."""

    margin: Annotated[float, Field(ge=0.0, le=0.5)] = 0.02
    obligation_margin: Annotated[float, Field(ge=0.0, le=0.5)] = 0.05
    min_test_items: Annotated[int, Field(ge=1)] = 40
    min_category_positives: Annotated[int, Field(ge=5)] = 50
    max_nll_increase: Annotated[float, Field(ge=0.0)] = 0.02
    confidence: Annotated[float, Field(gt=0.5, lt=1.0)] = 0.95
    resamples: Annotated[int, Field(ge=100, le=20_000)] = 1000
    require_superiority: bool = False


class CertifyRecipe(_Strict):
    """By which labels a threshold earns the right to decide alone (docs/certificates.md).

    `by`: thresholds of their own for each language or surface; else one for all. A certificate
    rests on the audit labels of decisions of the last `window_days`, and ends after `valid_days`.
    `starts`: 4 where the highest scores are not the purest (see `certify_precision`).
    """

    by: Literal["", "language", "surface"] = ""
    window_days: Annotated[int, Field(ge=1, le=3650)] = 90
    valid_days: Annotated[int, Field(ge=1, le=365)] = 30
    starts: Annotated[int, Field(ge=1, le=16)] = 1


class KnownAnswers(_Strict):
    """How reviewers did on items whose answer was known and hidden from them, in one category.

    Of `violating` items they said `found` violate; of `innocent` ones, `cleared` do not.
    """

    category: str
    violating: Annotated[int, Field(ge=1)]
    found: Annotated[int, Field(ge=0)]
    innocent: Annotated[int, Field(ge=1)]
    cleared: Annotated[int, Field(ge=0)]

    @model_validator(mode="after")
    def _parts_of_what_was_asked(self) -> Self:
        if self.found > self.violating or self.cleared > self.innocent:
            raise ValueError(
                f"{self.category}: found may be {self.violating} at most, and cleared "
                f"{self.innocent}; they are parts of what was asked"
            )
        return self


class MeasureRecipe(_Strict):
    """What `hitl measure` and the fairness page know beside the labels (docs/measurement.md).

    `identity_terms`: a name for each group of people, and the words that speak of it. None are
    shipped: which words matter, and in which languages, is for those who know the people to say.
    `known_answers`: by these prevalence is corrected for reviewers' errors.
    """

    identity_terms: dict[str, tuple[str, ...]] = Field(default_factory=dict, max_length=100)
    known_answers: tuple[KnownAnswers, ...] = ()

    @model_validator(mode="after")
    def _words_are_words(self) -> Self:
        for name, words in self.identity_terms.items():
            if not name.strip() or not words or not all(word.strip() for word in words):
                raise ValueError(
                    f"identity_terms {name!r} has no words, or an empty one; list some, or leave "
                    "it out"
                )
        named = [one.category for one in self.known_answers]
        for category in named:
            if named.count(category) > 1:
                raise ValueError(f"known_answers has category {category!r} twice; add them up")
        return self


class DriftRecipe(_Strict):
    """When what comes in counts as another kind than before (docs/monitoring.md).

    The last `window_days` are compared with the `reference_days` before them; with fewer than
    `least_items` in either nothing is said. Without drift, a false alarm comes in a year of daily
    looks with chance `alpha` at most. `psi_bar`: a smaller shift is no alarm, however sure.
    An alarm that goes on for `windows_in_a_row` windows that share no decision is a reason to
    train. Embeddings are compared every `embeddings_every_days` (0: never), at most
    `embedding_items` before and after.
    """

    reference_days: Annotated[int, Field(ge=1, le=365)] = 28
    window_days: Annotated[int, Field(ge=1, le=90)] = 7
    least_items: Annotated[int, Field(ge=40)] = 100
    alpha: Annotated[float, Field(gt=0.0, lt=0.5)] = 0.05
    psi_bar: Annotated[float, Field(ge=0.0, le=5.0)] = 0.1
    windows_in_a_row: Annotated[int, Field(ge=1, le=20)] = 2
    embeddings_every_days: Annotated[int, Field(ge=0, le=90)] = 7
    embedding_items: Annotated[int, Field(ge=100, le=2000)] = 1000


class RetrainRecipe(_Strict):
    """When a new model is trained (docs/monitoring.md), where flows are deployed.

    New labels are a reason from `training.retrain_after_labels` and `share_of_training` of what
    the newest model learned from, if a learning curve promises `least_gain` of average precision
    or there is none yet. Alarms, another policy and a model older than `most_days` are reasons by
    themselves. Between two trainings pass `cool_down_hours`.
    """

    share_of_training: Annotated[float, Field(ge=0.0, le=10.0)] = 0.1
    least_gain: Annotated[float, Field(ge=0.0, le=0.5)] = 0.005
    most_days: Annotated[float, Field(gt=0.0, le=3650.0)] = 30.0
    cool_down_hours: Annotated[float, Field(ge=0.0, le=8760.0)] = 24.0


class Recipe(_Strict):
    """Everything that changes a result and is not a rule of the policy."""

    name: str = Field(default="default", min_length=1, max_length=40)
    intake: Intake = Intake()
    selection: SelectionRecipe = SelectionRecipe()
    retention: RetentionRecipe = RetentionRecipe()
    queue: QueueRecipe = QueueRecipe()
    twins: TwinsRecipe = TwinsRecipe()
    dispatch: DispatchRecipe = DispatchRecipe()
    collect: CollectRecipe = CollectRecipe()
    training: TrainingRecipe = TrainingRecipe()
    gate: GateRecipe = GateRecipe()
    certify: CertifyRecipe = CertifyRecipe()
    measure: MeasureRecipe = MeasureRecipe()
    drift: DriftRecipe = DriftRecipe()
    retrain: RetrainRecipe = RetrainRecipe()

    @model_validator(mode="after")
    def _nothing_goes_that_could_be_chosen(self) -> Self:
        months, days = self.retention.keep_months, self.selection.within_days
        if months is not None and (days is None or days > 28 * months):
            raise ValueError(
                f"retention.keep_months is {months}, and what is dropped must be no candidate any "
                f"more: set selection.within_days to at most {28 * months}"
            )
        return self

    @cached_property
    def recipe_id(self) -> str:
        """`name-fingerprint`; changes with any value of it."""
        return f"{self.name}-{fingerprint(self)}"


def load_recipe(path: Path) -> Recipe:
    """Read a recipe file.

    Raises:
        BadRecipe: names the file, each wrong key, and what to write instead.
    """
    return read_toml(path, Recipe, error=BadRecipe)


def recipe_from(body: dict[str, Any], *, where: str) -> Recipe:
    """A recipe from its stored body (`recipes.body`)."""
    return check(body, Recipe, where=where, error=BadRecipe)
