"""How reports draw: the same colours everywhere, and the same bytes for the same figures."""

from __future__ import annotations

import io
import warnings

from matplotlib import rc_context
from matplotlib.axes import Axes
from matplotlib.backends.backend_svg import FigureCanvasSVG
from matplotlib.figure import Figure

# Differing in lightness as well as in hue: also for readers who see no colours.
SURE, UNSURE, INK, FAINT = "#b45309", "#9aa3ad", "#1d2530", "#66707c"
PLAIN, PALE = "#1f5fbf", "#c9d8f0"


def as_svg(figure: Figure) -> str:
    """The drawing as a document, without a date and with names that do not change."""
    FigureCanvasSVG(figure)
    written = io.StringIO()
    with rc_context({"svg.hashsalt": "hitl", "svg.fonttype": "none"}), warnings.catch_warnings():
        # Letters that the font of the layout lacks are written as text all the same.
        warnings.filterwarnings("ignore", message="Glyph .* missing from font")
        figure.savefig(written, format="svg", metadata={"Date": None})
    return written.getvalue()


def plain_name(name: str, *, most: int = 32) -> str:
    """A name that somebody else chose, as text in a drawing: on one line, short, and no formula.

    Matplotlib takes what stands between dollars for mathematics, and what cannot be printed has no
    place in an SVG.
    """
    flat = " ".join("".join(one if one.isprintable() else " " for one in name).split())
    short = flat if len(flat) <= most else flat[: most - 1] + "…"
    return short.replace("$", r"\$")


def bare(axes: Axes) -> None:
    """No frame and no ticks but those below."""
    for side in ("top", "right", "left"):
        axes.spines[side].set_visible(False)
    axes.tick_params(axis="y", length=0)
