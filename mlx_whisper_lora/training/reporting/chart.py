"""Draw curves as SVG."""

import math
from collections.abc import Mapping, Sequence
from html import escape

Points = Sequence[tuple[float, float]]

_WIDTH, _HEIGHT = 480, 220  # of the whole
_LEFT, _RIGHT, _TOP, _BOTTOM = 64, 12, 28, 24  # around the curves
_COLORS = ("#2f7fd8", "#e0752d", "#3aa655")  # seen on white and on black


def draw_curves(title: str, curves: Mapping[str, Points], x_label: str) -> str:
    """Return an SVG element with curves, or nothing if they have no finite point.

    Args:
        title: what the numbers are.
        curves: the points of each curve by its name, which appears above it in its color.
        x_label: the name of the quantity across.
    """
    finite = {name: [(x, y) for x, y in points if math.isfinite(y)] for name, points in curves.items()}
    finite = {name: points for name, points in finite.items() if points}
    if not finite:
        return ""
    xs, ys = ([point[axis] for points in finite.values() for point in points] for axis in (0, 1))
    across, up = _ticks(0, max(xs)), _ticks(min(ys), max(ys))
    right, low, high = max(*xs, across[-1]), min(*ys, up[0]), max(*ys, up[-1])

    def place(x: float, y: float) -> tuple[float, float]:
        return (
            _LEFT + (_WIDTH - _LEFT - _RIGHT) * x / right,
            _TOP + (_HEIGHT - _TOP - _BOTTOM) * (high - y) / (high - low),
        )

    parts = [f'<text x="0" y="14" font-weight="600">{escape(title)}</text>']
    parts += [_across(tick, place(0, tick)[1]) for tick in up]
    parts += [_below(tick, place(tick, low)[0], "middle") for tick in across[1:-1]]
    parts += [_below(0, _LEFT, "start"), _below(across[-1], place(across[-1], low)[0], "end", x_label)]
    legend = _WIDTH - _RIGHT
    for i, (name, points) in reversed([*enumerate(finite.items())]):
        parts.append(_curve([place(*point) for point in points], _COLORS[i % len(_COLORS)]))
        parts.append(
            f'<text x="{legend}" y="14" text-anchor="end" fill="{_COLORS[i % len(_COLORS)]}">{escape(name)}</text>'
        )
        legend -= 8 * len(name) + 16
    return (
        f'<svg viewBox="0 0 {_WIDTH} {_HEIGHT}" role="img" aria-label="{escape(title)}" fill="currentColor">'
        f"{''.join(parts)}</svg>"
    )


def _curve(places: Points, color: str) -> str:
    path = "L".join(f"{x:.1f} {y:.1f}" for x, y in places)
    x, y = places[-1]
    return (
        f'<path d="M{path}" fill="none" stroke="{color}" stroke-width="2"/>'
        f'<circle cx="{x:.1f}" cy="{y:.1f}" r="3" fill="{color}"/>'
    )


def _across(value: float, y: float) -> str:
    """Return a line across, with its value."""
    return (
        f'<path d="M{_LEFT} {y:.1f}H{_WIDTH - _RIGHT}" stroke="currentColor" stroke-opacity=".2"/>'
        f'<text x="{_LEFT - 6}" y="{y + 5:.1f}" text-anchor="end">{value:g}</text>'
    )


def _below(value: float, x: float, anchor: str, label: str = "") -> str:
    """Return a value under the curves."""
    text = f"{label} {value:g}" if label else f"{value:g}"
    return f'<text x="{x:.1f}" y="{_HEIGHT - 6}" text-anchor="{anchor}">{escape(text)}</text>'


def _ticks(low: float, high: float) -> list[float]:
    """Return round numbers around a range, at least two and at most seven."""
    reach = (high - low) or abs(high) or 1.0
    power = 10.0 ** math.floor(math.log10(reach / 5))
    step = next(power * factor for factor in (1, 2, 5, 10) if power * factor * 5 >= reach)
    first, last = math.floor(low / step + 1e-9), math.ceil(high / step - 1e-9)
    return [float(f"{i * step:.10g}") for i in range(first, max(last, first + 1) + 1)]
