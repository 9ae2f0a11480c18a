"""Draw a histogram as SVG, in the color of the text around it."""

from collections.abc import Sequence
from html import escape

import numpy as np

_WIDTH, _HEIGHT, _AXIS = 480, 140, 24
_BINS = 24


def draw_histogram(values: Sequence[float], unit: str) -> str:
    """Return an SVG element with the histogram of at least one value.

    Args:
        values: The values.
        unit: The name of the quantity, under the axis.
    """
    counts, edges = np.histogram(values, bins=_BINS)
    width, top = _WIDTH / _BINS, counts.max()
    bars = "".join(
        f'<rect x="{i * width + 1:.1f}" y="{_HEIGHT * (1 - count / top):.1f}" width="{width - 2:.1f}" '
        f'height="{_HEIGHT * count / top:.1f}"><title>{edges[i]:.1f} to {edges[i + 1]:.1f}: {count}</title></rect>'
        for i, count in enumerate(counts.tolist())
    )
    places = ((0, "start", f"{edges[0]:.1f}"), (_WIDTH / 2, "middle", unit), (_WIDTH, "end", f"{edges[-1]:.1f}"))
    labels = "".join(
        f'<text x="{x:g}" y="{_HEIGHT + 18}" text-anchor="{anchor}">{escape(text)}</text>' for x, anchor, text in places
    )
    title = escape(f"Histogram: {unit}, {edges[0]:.1f} to {edges[-1]:.1f}; the highest bar is {top} clips")
    return (
        f'<svg viewBox="0 0 {_WIDTH} {_HEIGHT + _AXIS}" role="img" aria-label="{title}" fill="currentColor">'
        f'{bars}<path d="M0 {_HEIGHT}H{_WIDTH}" stroke="currentColor"/>{labels}</svg>'
    )
