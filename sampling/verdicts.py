"""The findings of a replay in plain sentences: which plan wins, when random does, when nobody."""

from __future__ import annotations

from collections.abc import Sequence
from math import isfinite

from sampling.comparison import Comparison, Effort, Figure, Outcome, PlanFigures, outcome_of


def verdict(found: Comparison, plan: str) -> str:
    """One sentence on one plan."""
    one = found.of(plan)
    gain = one.by_labels.gain
    share = f" ({one.gain_share:+.0%})" if isfinite(one.gain_share) else ""
    match one.outcome:
        case Outcome.BASELINE:
            return f"{plan} is what the others are compared with; it ends at {one.final.value:.3f}"
        case Outcome.ABOVE:
            said = f"{plan} learns faster than {found.against}: {_shown(gain)}{share}"
        case Outcome.BELOW:
            said = f"{found.against} wins against {plan}: {_shown(gain)}{share}"
        case Outcome.UNCLEAR if found.seeds < 2:
            return f"{plan}: {gain.value:+.3f}{share}; one seed shows no width, so no verdict"
        case Outcome.UNCLEAR:
            said = (
                f"{plan} shows no difference from {found.against} that {found.seeds} seeds can "
                f"tell: {_shown(gain)}"
            )
    if one.outcome is not Outcome.UNCLEAR and not found.holds_among_all(one):
        said += f"; by itself, for of {len(found.plans) - 1} plans one may do so by luck"
    return f"{said}; {_reaches(found, one)}{_per_minute(one)}"


def overall(found: Comparison) -> str:
    """What all of it comes to, in one or two sentences."""
    others = [one for one in found.plans if one.outcome is not Outcome.BASELINE]
    against = found.against
    if not others:
        return f"Only {against} was replayed; there is nothing to compare it with"
    if found.seeds < 2:
        return "One seed shows no width, so nothing can be told apart; replay at least two, or ten"
    below = [
        one.name for one in others if one.outcome is Outcome.BELOW and found.holds_among_all(one)
    ]
    if found.leaders:
        best, *equals = found.leaders
        gain = found.of(best).by_labels.gain
        said = f"{best} learns fastest: {_shown(gain)} above {against}"
        if equals:
            said += f"; {_listed(equals)} cannot be told from it"
        return said + (f". {against} wins against {_listed(below)}" if below else "")
    if below:
        return f"{against} wins: no plan is above it with confidence, and it beats {_listed(below)}"
    width = max((one.by_labels.gain.high - one.by_labels.gain.low) / 2 for one in others)
    hints = [one.name for one in others if one.outcome is not Outcome.UNCLEAR]
    luck = f" (the gap of {_listed(hints)} can be luck among so many)" if hints else ""
    return (
        f"Nothing can be told from {against}{luck}: {found.seeds} seeds do not show a difference "
        f"under about {width:.3f}. Replay more seeds, or stay with {against}"
    )


def overall_by_minutes(found: Comparison) -> str:
    """The same for a reviewer's time in place of labels; without a correction for many plans."""
    timed = [one for one in found.plans if one.by_seconds and one.outcome is not Outcome.BASELINE]
    by_time = {one.name: outcome_of(one.by_seconds.gain) for one in timed if one.by_seconds}
    ahead = sorted(
        (one for one in timed if by_time[one.name] is Outcome.ABOVE),
        key=lambda one: -one.by_seconds.gain.value if one.by_seconds else 0.0,
    )
    behind = [one.name for one in timed if by_time[one.name] is Outcome.BELOW]
    if ahead and ahead[0].by_seconds:
        gain = ahead[0].by_seconds.gain
        said = f"{ahead[0].name} learns fastest: {_shown(gain)} above {found.against}"
        if len(ahead) > 1:
            said += f"; {_listed([one.name for one in ahead[1:]])} too are above"
    elif behind:
        said = f"{found.against} wins against {_listed(behind)}"
    else:
        said = f"nothing can be told from {found.against}"
    return f"Per reviewer minute {said}"


def _shown(gain: Figure) -> str:
    return f"{gain.value:+.3f} [{gain.low:+.3f}, {gain.high:+.3f}]"


def _reaches(found: Comparison, one: PlanFigures) -> str:
    reach, spent = one.by_labels.reach, one.by_labels.spent.value
    goal = f"{found.target:.3f}"
    if not isfinite(reach.cost):
        return (
            f"its {spent:,.0f} labels do not reach {goal} ({reach.seeds_reached} of "
            f"{found.seeds} seeds do)"
        )
    return f"{goal} takes {reach.cost:,.0f} of {spent:,.0f} labels, {ratio(one.by_labels)}"


def ratio(effort: Effort) -> str:
    """What part of the baseline's effort it takes, and its interval."""
    reach = effort.reach
    if not isfinite(reach.cost):
        return "never"
    bound = "at most " if reach.is_bound else ""
    said = f"{bound}{reach.ratio:.2f}x"
    if not isfinite(reach.ratio_low):
        return said
    high = f"{reach.ratio_high:.2f}" if isfinite(reach.ratio_high) else "never"
    return f"{said} [{reach.ratio_low:.2f}, {high}]"


def _per_minute(one: PlanFigures) -> str:
    """Whether the verdict is another one when time is counted instead of labels."""
    if one.by_seconds is None:
        return ""
    gain = one.by_seconds.gain
    by_time = Outcome.ABOVE if gain.low > 0 else Outcome.BELOW if gain.high < 0 else Outcome.UNCLEAR
    if by_time is one.outcome:
        return ""
    words = {
        Outcome.ABOVE: "but learns faster",
        Outcome.BELOW: "but learns slower",
        Outcome.UNCLEAR: "but no difference shows",
    }
    return f"; {words[by_time]} per reviewer minute: {_shown(gain)}"


def _listed(names: Sequence[str]) -> str:
    return names[0] if len(names) == 1 else f"{', '.join(names[:-1])} and {names[-1]}"
