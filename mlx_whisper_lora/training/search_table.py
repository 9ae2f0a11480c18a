"""The results of a search as lines of text."""

import math
from collections.abc import Sequence

from mlx_whisper_lora.training.candidates import Candidate, compare

Tokens = Sequence[Sequence[int]]  # the number of tokens of each clip, fold by fold


def describe_table(candidates: Sequence[Candidate], best: Candidate, tokens: Tokens) -> list[str]:
    """Return a table of all candidates, the best first. Each has its loss on the folds and at the step it came to.

    Args:
        candidates: the first has the given settings.
        best: comes first.
        tokens: the number of tokens of each clip of each fold.
    """
    rows = [("candidate", "loss", "steps", "folds", "minutes", "settings")]
    for each in sorted(candidates, key=lambda each: (each is not best, *_place(each, tokens))):
        steps, n_folds = each.last_scores()
        loss = f"{each.loss(steps, tokens[:n_folds]):.3f}" if steps else "-"
        about = each.flags(candidates[0]) or "the given settings"
        minutes = sum(score.seconds for score in each.scores) / 60
        rows.append((str(each.number), loss, str(steps), str(n_folds), f"{minutes:.1f}", about))
    widths = [max(map(len, column)) for column in zip(*rows, strict=True)]
    return ["  ".join([*map(str.rjust, row[:-1], widths), row[-1]]) for row in rows]


def _place(candidate: Candidate, tokens: Tokens) -> tuple[float, float]:
    """Return what the rows are sorted by: how far a candidate came, and its loss."""
    steps, n_folds = candidate.last_scores()
    loss = candidate.loss(steps, tokens[:n_folds]) if steps else math.inf
    return -(candidate.dropped_at or math.inf), loss


def describe_result(best: Candidate, first: Candidate, steps: int, tokens: Tokens) -> str:
    """Return a sentence that compares the best candidate with the given settings.

    Args:
        best: the best one.
        first: the one with the given settings.
        steps: after how many both were compared. 0 if there was no time for it.
        tokens: the number of tokens of each clip of each fold that they were compared on.
    """
    if not steps:
        return "There was no time to compare candidates: training has the given settings"
    if best is first:
        return f"No candidate is better than the given settings, after {steps} steps: training has these"
    found = compare(best, first, steps, tokens)
    name = f"Candidate {best.number} is better than the given settings after {steps} steps"
    if found is None:
        return f"{name}, with which training failed"
    low, high = found.interval
    folds = range(len(tokens))
    wins = sum(best.fold_loss(steps, i + 1) < first.fold_loss(steps, i + 1) for i in folds)
    where = f", on {wins} of {len(tokens)} folds" if len(tokens) > 1 else ""
    chance = "" if low > 0 else ": it may be chance"
    return (
        f"{name}, by {found.gain:.3f} nats per token (95 % interval {low:.3f} to {high:.3f} over {found.n_clips} clips"
        f"{where}){chance}"
    )
