"""How reports draw: the same colours everywhere, and the same bytes for the same figures."""

from __future__ import annotations

import io

from matplotlib import rc_context
from matplotlib.axes import Axes
from matplotlib.backends.backend_svg import FigureCanvasSVG
from matplotlib.figure import Figure

# Differing in lightness as well as in hue: also for readers who see no colours.
SURE, UNSURE, INK, FAINT = "#b45309", "#9aa3ad", "#1d2530", "#66707c"


def as_svg(figure: Figure) -> str:
    """The drawing as a document, without a date and with names that do not change."""
    FigureCanvasSVG(figure)
    written = io.StringIO()
    with rc_context({"svg.hashsalt": "hitl", "svg.fonttype": "none"}):
        figure.savefig(written, format="svg", metadata={"Date": None})
    return written.getvalue()


def bare(axes: Axes) -> None:
    """No frame and no ticks but those below."""
    for side in ("top", "right", "left"):
        axes.spines[side].set_visible(False)
    axes.tick_params(axis="y", length=0)
