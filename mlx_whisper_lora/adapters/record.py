"""What a run says of its adapter: the clips, and how good it is. It is in the adapter file, for the card on the Hub."""

from dataclasses import dataclass
from typing import Any


@dataclass(frozen=True)
class Scores:
    """Error rates of an adapter on the validation clips by which it was chosen, and those of its base, in per cent."""

    clips: int
    wer: float
    wer_interval: tuple[float, float]  # of 95 %
    cer: float
    cer_interval: tuple[float, float]
    base_wer: float
    base_cer: float


@dataclass(frozen=True)
class Record:
    """The training data of an adapter, and its scores."""

    data: tuple[str, ...]  # names of folders, without those that they are in, and of data sets
    minutes: float  # of the training clips
    scores: Scores | None = None  # None without validation clips

    @staticmethod
    def from_json(stored: dict[str, Any]) -> "Record":
        """Return what `dataclasses.asdict` made a dictionary of, after JSON.

        Raises:
            KeyError, TypeError, ValueError: it is not such a dictionary.
        """
        scores = stored["scores"]
        return Record(
            data=tuple(map(str, stored["data"])),
            minutes=float(stored["minutes"]),
            scores=None if scores is None else _scores_from_json(scores),
        )


def _scores_from_json(stored: dict[str, Any]) -> Scores:
    numbers = {name: float(stored[name]) for name in ("wer", "cer", "base_wer", "base_cer")}
    (wer_low, wer_high), (cer_low, cer_high) = stored["wer_interval"], stored["cer_interval"]
    return Scores(
        clips=int(stored["clips"]),
        wer_interval=(float(wer_low), float(wer_high)),
        cer_interval=(float(cer_low), float(cer_high)),
        **numbers,
    )
