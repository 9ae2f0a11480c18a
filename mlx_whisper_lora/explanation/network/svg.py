"""Boxes, texts and lines as SVG, in colors for light and for dark screens."""

from collections.abc import Iterable
from html import escape

_BOLD, _PLAIN = 0.72, 0.63  # widths of a letter in sizes of its font. Wide fonts need as much.
_SMALLEST = 7.0  # size of a font
STYLE = """
.network { --ground: #ffffff; --ink: #1f2328; --line: #6b7480; --group: #f6f8fa; --edge: #aab3bd; --still: #e6eaef;
  --fill0: #ffd8a8; --edge0: #c2600b; --fill1: #b9e6c8; --edge1: #217a3c; --fill2: #c9dbff; --edge2: #2b62c9;
  font-family: system-ui, -apple-system, "Segoe UI", Roboto, "DejaVu Sans", sans-serif; }
@media (prefers-color-scheme: dark) { .network { --ground: #12161c; --ink: #e9eef4; --line: #939daa; --group: #1a2028;
  --edge: #566170; --still: #2b333e; --fill0: #6b3c08; --edge0: #f0923e; --fill1: #16502b; --edge1: #46b866;
  --fill2: #1f3c72; --edge2: #6aa5ff; } }
.network text { fill: var(--ink); }
.network .ground { fill: var(--ground); }
.network .group { fill: var(--group); stroke: var(--edge); }
.network .still { fill: var(--still); stroke: var(--edge); }
.network .open { fill: var(--ground); stroke: var(--line); }
.network .method0 { fill: var(--fill0); stroke: var(--edge0); }
.network .method1 { fill: var(--fill1); stroke: var(--edge1); }
.network .method2 { fill: var(--fill2); stroke: var(--edge2); }
.network .hatch { fill: url(#network-hatch); stroke: none; pointer-events: none; }
.network .line { fill: none; stroke: var(--line); stroke-width: 1.5; }
.network .stream { stroke-width: 2.5; }
.network .dashed { stroke-dasharray: 5 4; }
.network .head { fill: var(--line); }
.network a { cursor: pointer; text-decoration: none; }
.network a:is(:hover, :focus-visible, .chosen) > rect:first-of-type { stroke: var(--ink); stroke-width: 2.5; }
"""
_DEFINITIONS = (
    '<defs><pattern id="network-hatch" width="6" height="6" patternUnits="userSpaceOnUse" '
    'patternTransform="rotate(45)"><path d="M0 0V6" stroke="var(--line)" stroke-opacity=".45" stroke-width="1.4"/>'
    '</pattern><marker id="network-head" viewBox="0 0 8 8" refX="7" refY="4" markerWidth="8" markerHeight="8" '
    'markerUnits="userSpaceOnUse" orient="auto"><path class="head" d="M0 0L8 4L0 8Z"/></marker></defs>'
)


def drawing(title: str, parts: Iterable[str], left: float, top: float, width: float, height: float) -> str:
    """Return an SVG of its parts, which has its own style."""
    frame = f'x="{left:g}" y="{top:g}" width="{width:g}" height="{height:g}"'
    return (
        f'<svg xmlns="http://www.w3.org/2000/svg" class="network" viewBox="{left:g} {top:g} {width:g} {height:g}" '
        f'width="{width:g}" height="{height:g}" role="group" aria-label="{escape(title)}"><style>{STYLE}</style>'
        f'{_DEFINITIONS}<rect class="ground" {frame} rx="8"/>{"".join(parts)}</svg>\n'
    )


def box(x: float, y: float, width: float, height: float, look: str, is_hatched: bool = False) -> str:
    """Return a box whose upper left corner is at (x, y), hatched or not.

    Args:
        x, y, width, height: in pixels.
        look: its class in the style, such as "still".
        is_hatched: whether it is hatched.
    """
    looks = (look, "hatch") if is_hatched else (look,)
    return "".join(
        f'<rect class="{each}" x="{x:g}" y="{y:g}" width="{width:g}" height="{height:g}" rx="4"/>' for each in looks
    )


def text(
    x: float, y: float, content: str, room: float, size: float = 11, anchor: str = "start", weight: int = 400
) -> str:
    """Return a text in a font so small that it has room, or nothing if it is empty. It is cut if it is too long.

    Args:
        x: its start, middle or end.
        y: its baseline.
        content: the text.
        room: the pixels that it may take across.
        size: the size of the font, at most.
        anchor: "start", "middle" or "end", as what `x` is.
        weight: 400 is plain, 600 bold.
    """
    if not content:
        return ""
    wide = (_BOLD if weight > 400 else _PLAIN) * len(content)
    size = max(min(size, room / wide), _SMALLEST)
    if (most := int(room * len(content) / (wide * size))) < len(content):
        content = f"{content[: most - 1]}…"
    bold = f' font-weight="{weight}"' if weight != 400 else ""
    middle = f' text-anchor="{anchor}"' if anchor != "start" else ""
    return f'<text x="{x:g}" y="{y:g}" font-size="{size:.3g}"{bold}{middle}>{escape(content)}</text>'


def line(points: Iterable[tuple[float, float]], look: str = "line", has_head: bool = False) -> str:
    """Return a line through points, with the head of an arrow at its end or not."""
    path = "L".join(f"{x:g} {y:g}" for x, y in points)
    head = ' marker-end="url(#network-head)"' if has_head else ""
    return f'<path class="{look}" d="M{path}"{head}/>'


def sum_sign(x: float, y: float) -> str:
    """Return a circle with a plus sign."""
    plus = f"M{x - 4:g} {y:g}h8M{x:g} {y - 4:g}v8"
    return f'<circle class="open" cx="{x:g}" cy="{y:g}" r="6"/><path class="line" d="{plus}"/>'


def link(address: str, hint: str, content: str) -> str:
    """Return a link around what is drawn, with a hint that appears over it."""
    return f'<a href="{escape(address)}"><title>{escape(hint)}</title>{content}</a>'
