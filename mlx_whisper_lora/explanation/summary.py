"""Maps in words: the table of the command, and the lines of the page."""

from collections.abc import Iterator, Sequence

import numpy as np

from mlx_whisper_lora.explanation.curves import area
from mlx_whisper_lora.explanation.explain import Map

GAMES = ("deletion", "insertion")


def table_lines(maps: Sequence[Map]) -> Iterator[str]:
    """Yield a table of targets, scores and areas, with a line that says so under a map no better than a random one."""
    width = max(len(each) for each in ("target", *(each.target for each in maps)))
    yield f"{'target':<{width}}  method      score  deletion (random)  insertion (random)"
    for each in maps:
        deletion, insertion = (f"{own:8.2f} ({random:.2f})" for own, random in (areas(each, game) for game in GAMES))
        yield f"{each.target:<{width}}  {each.method:<10} {each.score:6.2f}  {deletion:<17}  {insertion}"
        if not all(each.curves.passes.values()):
            yield f"  {each.curves.verdict}"


def map_line(each: Map) -> str:
    """Return a line on a map: its target, method, score and areas."""
    parts = (f"{game} {own:.2f} (random {random:.2f})" for game in GAMES for own, random in [areas(each, game)])
    probability = f"probability {np.exp(each.score):.3f}"
    return f"{each.target}, {each.method}: {probability}; areas under the curves: {', '.join(parts)}"


def areas(each: Map, game: str) -> tuple[float, float]:
    """Return the area under a map's curve of "deletion" or "insertion", and the mean one of random maps."""
    return area(getattr(each.curves, game)), float(np.mean([*map(area, getattr(each.curves, f"random_{game}"))]))
