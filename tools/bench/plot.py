"""Draw docs/speed.svg, docs/growth.svg and docs/startup.svg from what tools.bench.run, growth and startup measured.

pip install -e ".[bench]" && python -m tools.bench.plot
"""

import json
import math
from pathlib import Path

import matplotlib as mpl
from matplotlib import pyplot as plt
from matplotlib.axes import Axes

from tools.bench import growth, run, startup
from tools.bench.growth import exponent

DOCS = run.ROOT / "docs"
OURS, PEER, MEMORY, LINE = "#1f6fb2", "#b8c4ce", "#d0743c", "#888888"
SPEED = {
    "step": "A training step of 4 clips of 5 s, seconds (line: the floor)",
    "short": "A recording of 5 s transcribed, seconds (line: the floor)",
}


def draw_times(axes: Axes, title: str, results: dict[str, dict]) -> None:
    """Draw a bar for each contender, and a tick at its floor."""
    for i, (name, row) in enumerate(results.items()):
        axes.barh(i, row["seconds"], color=OURS if name.startswith("ours") else PEER)
        axes.text(row["seconds"], i, f" {row['seconds']:.2g}", va="center")
        if "floor" in row:
            axes.plot([row["floor"]] * 2, [i - 0.4, i + 0.4], color="black", linewidth=1)
    axes.set_yticks(range(len(results)), list(results))
    axes.invert_yaxis()
    axes.margins(x=0.12)
    axes.set_title(title, loc="left")


def draw_growth(axes: Axes, panel: dict) -> None:
    """Draw time and memory against size, each with a thin line of linear growth through its last point."""
    points = panel["points"]
    sizes = [point["size"] for point in points]
    memory = axes.twinx()
    for where, name, color in ((axes, "seconds", OURS), (memory, "MB", MEMORY)):
        values = [point[name] for point in points]
        where.loglog(sizes, values, "o-", color=color, markersize=3)
        where.loglog(sizes, [values[-1] * size / sizes[-1] for size in sizes], color=color, linewidth=0.5)
        where.set_ylim(10 ** math.floor(math.log10(min(values))), 10 ** math.ceil(math.log10(max(values))))
        where.set_ylabel(name, color=color)
        where.minorticks_off()
    axes.set_xticks(sizes, [f"{size // 1000}k" if size >= 1000 else size for size in sizes], rotation=30)
    time, space = (exponent(points, name) for name in ("seconds", "MB"))
    axes.set_xlabel(panel["unit"])
    axes.set_title(f"{panel['title']}\ntime n^{time:.2f}, memory n^{space:.2f}", loc="left")


def draw_steps(axes: Axes, steps: dict[str, float]) -> None:
    """Draw the training steps a second by the time when features are computed."""
    axes.barh(range(len(steps)), list(steps.values()), color=OURS)
    for i, speed in enumerate(steps.values()):
        axes.text(speed, i, f" {speed:.2g}", va="center")
    axes.set_yticks(range(len(steps)), list(steps))
    axes.invert_yaxis()
    axes.margins(x=0.12)
    axes.set_title("Training steps a second,\nwith log-mels computed", loc="left")


def save(figure: plt.Figure, path: Path) -> None:
    figure.tight_layout()
    figure.savefig(path, metadata={"Date": None})
    print(path.relative_to(run.ROOT))


def main() -> None:
    mpl.rcParams.update({"font.size": 8, "svg.fonttype": "none", "svg.hashsalt": "mlx_whisper_lora"})
    mpl.rcParams.update({"axes.spines.top": False, "axes.spines.right": False})
    if run.RESULTS.exists():
        results = json.loads(run.RESULTS.read_text())
        figure, all_axes = plt.subplots(len(SPEED), figsize=(7, 5))
        for axes, (name, title) in zip(all_axes, SPEED.items(), strict=True):
            draw_times(axes, title, results[name]["results"])
        save(figure, DOCS / "speed.svg")
    if growth.RESULTS.exists():
        panels = [each for each in json.loads(growth.RESULTS.read_text()).values() if len(each["points"]) > 1]
        columns = -(-len(panels) // 2)
        figure, grid = plt.subplots(2, columns, figsize=(3 * columns, 5), squeeze=False)
        for axes in grid.flat[len(panels) :]:
            axes.axis("off")
        for axes, panel in zip(grid.flat, panels, strict=False):
            draw_growth(axes, panel)
        save(figure, DOCS / "growth.svg")
    if startup.RESULTS.exists():
        results = json.loads(startup.RESULTS.read_text())
        figure, (left, right) = plt.subplots(1, 2, figsize=(7, 2.5))
        draw_growth(left, results["start"])
        draw_steps(right, results["steps"])
        save(figure, DOCS / "startup.svg")


if __name__ == "__main__":
    main()
