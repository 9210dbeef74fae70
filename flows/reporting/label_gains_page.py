"""What the last labels bought, as a part of a page: intervals, trainings, and hours."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from matplotlib.figure import Figure
from matplotlib.ticker import MaxNLocator

from flows.reporting.drawing import FAINT, INK, PALE, PLAIN, UNSURE, as_svg, bare, plain_name
from flows.reporting.label_gains import Effort, Gain, Step
from flows.reporting.wording import as_number, counted, limits, listed
from hitl.reports import Block, Grid, Heading, Picture, Training, Words

MOST_TRAININGS = 12
_SAYS = {
    "narrower": "narrower",
    "wider": "wider",
    "cannot_tell": "cannot be told from nothing",
    "first_number": "a first number",
    "no_number": "still too few events",
}
_OF_STEP = {"better": "better", "worse": "worse", "cannot_tell": "unclear"}


def gains_blocks(gains: Sequence[Gain], effort: Effort, *, labels: int) -> Iterator[Block]:
    """How much narrower the newest of `labels` audit labels made each interval."""
    if not gains:
        yield Heading("What the last labels bought")
        yield Words(
            f"There are {labels:,} audit labels of this model's decisions: too few to ask what the "
            "newest of them bought. From 20 on, half of them are set against the other half; from "
            "200 on, the newest 100 against all before."
        )
        return
    new = gains[0].bought.labels
    yield Heading(f"What the last {new} labels bought")
    yield Words(f"{_cost(effort, new)} {_summary(gains, new, labels)}")
    if any(one.bought.narrowed is not None for one in gains):
        yield _widths(gains, new)
    yield Grid(
        ("metric", "without them", "with them", "n", "narrower by, in points", "which is"),
        [_gain_row(one) for one in gains],
    )


def _cost(effort: Effort, new: int) -> str:
    if effort.hours is None:
        return (
            f"How long the {effort.answers:,} answers behind these {new} labels took is not known: "
            "no answer says so."
        )
    part = "" if effort.timed == effort.answers else ", which is what is known"
    cut = f"; {effort.cut} counted as half an hour" if effort.cut else ""
    return (
        f"These {new} labels took {_hours(effort.hours)} of reviewing (median "
        f"{effort.median_seconds:,.0f} seconds an answer, from {effort.timed:,} of "
        f"{effort.answers:,} answers{part}{cut})."
    )


def _hours(hours: float) -> str:
    return f"{hours:,.1f} hours" if hours >= 1.0 else f"{60.0 * hours:,.0f} minutes"


def _summary(gains: Sequence[Gain], new: int, labels: int) -> str:
    told = [one for one in gains if one.bought.narrowed is not None]
    sure = [one for one in told if one.bought.outcome == "narrower"]
    first = [one for one in gains if one.bought.outcome == "first_number"]
    parts = [f"There are {labels:,} in all."]
    if told and not sure:
        parts.append(
            f"No gain can be told from nothing ({len(told)} asked): which {new} labels happened to "
            "come moves an interval as much as their number does."
        )
    elif told:
        parts.append(f"Narrower by more than luck: {len(sure)} of {len(told)} intervals.")
    if first:
        parts.append(f"A number only since then: {listed(map(_name, first))}.")
    if not told and not first:
        parts.append("No figure has enough events for a number yet, with them or without.")
    return " ".join(parts)


def _name(one: Gain) -> str:
    return f"{one.category} {one.metric}"


def _gain_row(one: Gain) -> tuple[str, ...]:
    found = one.bought
    moved = "-"
    if found.narrowed is not None:
        moved = f"{100 * found.narrowed:+.1f}"
        if found.low is not None and found.high is not None:
            moved += f" ({100 * found.low:+.1f} to {100 * found.high:+.1f})"
    before, after = found.before, found.after
    return (
        _name(one),
        limits(before.low, before.high) if before.value is not None else before.code or "-",
        limits(after.low, after.high) if after.value is not None else after.code or "-",
        f"{before.n:,}, then {after.n:,}",
        moved,
        _SAYS[found.outcome],
    )


def _widths(gains: Sequence[Gain], new: int) -> Picture:
    """The width of each interval without the newest labels and with them."""
    told = [one for one in gains if one.bought.narrowed is not None]
    figure = Figure(figsize=(8.0, 1.3 + 0.36 * len(told)), layout="constrained")
    axes = figure.add_subplot()
    bare(axes)
    alt = []
    for at, one in enumerate(told):
        found = one.bought
        before, after = (
            100.0 * ((side.high or 0.0) - (side.low or 0.0)) for side in (found.before, found.after)
        )
        is_sure = found.outcome == "narrower"
        axes.plot([before, after], [at, at], color=PALE, lw=4, solid_capstyle="butt", zorder=1)
        axes.plot(before, at, "o", color="white", mec=UNSURE, mew=1.6, ms=7, zorder=2)
        axes.plot(after, at, "o", color=PLAIN if is_sure else UNSURE, mec="white", ms=8, zorder=3)
        axes.annotate(
            _SAYS[found.outcome], (1.02, at), xycoords=("axes fraction", "data"), va="center",
            fontsize=8.5, color=INK if is_sure else FAINT, annotation_clip=False,
        )  # fmt: skip
        alt.append(f"{_name(one)} {before:.1f} to {after:.1f}, {_SAYS[found.outcome]}")
    axes.set_xlim(left=0.0)
    axes.margins(x=0.05)
    axes.set_yticks(range(len(told)), [plain_name(_name(one), most=38) for one in told], fontsize=9)
    axes.set_ylim(len(told) - 0.4, -0.7)
    axes.tick_params(axis="x", labelsize=9)
    axes.set_xlabel("width of the interval, in percentage points (further left is better)",
                    fontsize=9)  # fmt: skip
    axes.plot([], [], "o", color="white", mec=UNSURE, mew=1.6, ms=7, label="without them")
    axes.plot([], [], "o", color=PLAIN, ms=8, mec="white", label="with them")
    axes.plot([], [], "o", color=UNSURE, ms=8, mec="white", label="with them, but it may be luck")
    figure.legend(loc="outside lower center", ncols=3, frameon=False, fontsize=8)
    return Picture(
        "bought",
        as_svg(figure),
        f"Width of each interval in points without and with the last {new} labels: "
        f"{'; '.join(alt)}.",
    )


def trainings_blocks(trained: Sequence[Training], steps: Sequence[Step]) -> Iterator[Block]:
    """How the models' figure moved from training to training, and what can be told of it."""
    yield Heading("From training to training")
    shown = list(trained[-MOST_TRAININGS:])
    if not shown:
        yield Words("No model was trained yet: label, then run hitl freeze and hitl train.")
        return
    by_version = {one.model_version: one for one in steps}
    yield Words(_newest_step(steps))
    if sum(one.value is not None for one in shown) >= 2:
        yield _curve(shown)
    yield Grid(
        ("", "model version", "examples", "mean average precision", "n", "gate",
         "change beside champion", "which is"),
        [_training_row(number, one, by_version.get(one.model_version))
         for number, one in enumerate(shown, start=1)],
    )  # fmt: skip
    yield Words(
        "Each figure is from the test side of the model's own snapshot, so two of them differ by "
        "their test items too. The change is paired, both models on the same items, with "
        "one-sided bounds at the gate's confidence: judge by that. Examples are those trained on; "
        "* is the champion."
    )


def _newest_step(steps: Sequence[Step]) -> str:
    if not steps:
        return "No training has met a champion at the gate yet, so nothing was compared in pairs."
    last = steps[-1]
    more = "" if not last.more_examples else f", with {last.more_examples:+,} examples,"
    said = {
        "better": "is shown to order better than",
        "worse": "is shown to order worse than",
        "cannot_tell": "cannot be told from",
    }[last.outcome]
    return f"The newest training at the gate{more} {said} the champion of then: {_change(last)}."


def _change(one: Step | None) -> str:
    if one is None or one.change is None:
        return "-"
    if one.low is None or one.high is None:
        return f"{one.change:+.3f}"
    return f"{one.change:+.3f} ({one.low:+.3f} to {one.high:+.3f})"


def _training_row(number: int, one: Training, step: Step | None) -> tuple[str, ...]:
    return (
        f"{number}",
        one.model_version + (" *" if one.state == "champion" else ""),
        "-" if one.training_examples is None else f"{one.training_examples:,}",
        as_number(one),
        counted(one),
        one.decision or "-",
        _change(step),
        "-" if step is None else _OF_STEP[step.outcome],
    )


def _curve(shown: Sequence[Training]) -> Picture:
    """Mean average precision over the number of training examples, each with its interval."""
    figure = Figure(figsize=(8.0, 3.4), layout="constrained")
    axes = figure.add_subplot()
    axes.spines[["top", "right"]].set_visible(False)
    points = [
        (number, one, (one.value, one.low, one.high)) for number, one in enumerate(shown, start=1)
        if one.value is not None and one.low is not None and one.high is not None
    ]  # fmt: skip
    places = [one.training_examples or one.examples for _, one, _ in points]
    room = 0.012 * max(max(places) - min(places), 1)
    seen: dict[int, int] = {}
    alt = []
    for (number, one, (value, low, high)), place in zip(points, places, strict=True):
        # Trainings on equally many examples stand beside each other.
        at = place + room * seen.get(place, 0)
        seen[place] = seen.get(place, 0) + 1
        is_champion = one.state == "champion"
        colour = PLAIN if is_champion else UNSURE
        axes.plot([at, at], [low, high], color=colour, lw=2)
        axes.plot(at, value, "D" if is_champion else "o", color=colour, ms=7, mec="white",
                  zorder=3)  # fmt: skip
        axes.annotate(f"{number}", (at, high), xytext=(0, 3), textcoords="offset points",
                      ha="center", fontsize=8, color=INK)  # fmt: skip
        alt.append(f"{number}: {place:,} examples, {as_number(one)}")
    axes.set_ylim(max(0.0, min(low for _, _, (_, low, _) in points) - 0.15), 1.05)
    low, high = axes.get_ylim()
    axes.set_yticks([at for at in axes.get_yticks() if low <= at <= 1.0 + 1e-9])
    axes.set_ylim(low, high)
    axes.margins(x=0.06)
    axes.xaxis.set_major_formatter(lambda at, _: f"{at:,.0f}")
    axes.xaxis.set_major_locator(MaxNLocator(7, integer=True))
    axes.tick_params(labelsize=9)
    axes.set_xlabel("training examples", fontsize=9)
    axes.set_ylabel("mean average precision", fontsize=9)
    axes.plot([], [], "D", color=PLAIN, ms=7, label="champion")
    axes.plot([], [], "o", color=UNSURE, ms=7, label="others")
    axes.legend(loc="lower right", frameon=False, fontsize=8, ncols=2)
    return Picture("trainings", as_svg(figure), f"Mean average precision. {'; '.join(alt)}.")
