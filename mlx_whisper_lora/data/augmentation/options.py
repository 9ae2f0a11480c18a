"""The options of augmentation."""

from dataclasses import dataclass, fields
from typing import Any

from mlx_whisper_lora.whisper.option import OptionError, check_ranges, documented, option

LIGHT = {
    "augment_speed": 0.1, "augment_volume": 6.0, "augment_room": 0.1, "augment_noise": 0.2, "augment_masks": 0.5,
    "noise_share": 0.02,
}  # fmt: skip
_LIGHT_SHOWN = ", ".join(
    f"{name.removeprefix('augment_').replace('_', ' ')} {value:g}" for name, value in LIGHT.items()
)


def parse_range(text: str) -> tuple[float, float]:
    """Read a range of decibels, such as 5,20.

    Raises:
        ValueError: the text is not one.
    """
    try:
        low, high = map(float, text.split(","))
    except ValueError:
        raise ValueError(f"expected two numbers, such as 5,20, got {text!r}") from None
    return low, high


def _share(what: str) -> Any:
    return option(None, f"Share of the clips {what}.", minimum=0, maximum=1, metavar="SHARE", shown_default="0")


@documented
@dataclass(frozen=True)
class AugmentationOptions:
    """How training clips are changed, anew at each pass. Everything is off unless it is given.

    Raises:
        OptionError: a value is out of range.
    """

    augment: str | None = option(
        None,
        f"light: {_LIGHT_SHOWN}, unless they are given.",
        choices=("light",),
        shown_default="training clips are not changed",
    )
    augment_speed: float | None = option(
        None,
        "Largest change of the speed: with 0.1, clips take 0.9 to 1.1 times their speed and pitch.",
        minimum=0,
        maximum=0.5,
        shown_default="0",
    )
    augment_pitch: float | None = option(
        None,
        "Largest change of the pitch, in semitones. The length stays.",
        minimum=0,
        maximum=12,
        metavar="SEMITONES",
        shown_default="0",
    )
    augment_volume: float | None = option(
        None, "Largest change of the volume, in dB.", minimum=0, maximum=40, metavar="DB", shown_default="0"
    )
    augment_room: float | None = _share("that sound as in one of eight made-up rooms")
    augment_noise: float | None = _share(
        "with noise: from the given folder, or else white, pink, or other clips at once"
    )
    augment_telephone: float | None = _share("that sound as on a telephone")
    augment_codec: float | None = _share("that were compressed to Opus or MP3 at a low rate")
    augment_masks: float | None = _share("with bands and moments masked in the log-mel (SpecAugment)")
    noise_share: float | None = _share(
        "that noise without speech takes the place of, so that the model learns to write nothing there"
    )
    noise_data: str | None = option(
        None,
        "Folder with recordings of noise, without speech.",
        metavar="FOLDER",
        shown_default="noise is made",
    )
    noise_snr: tuple[float, float] = option(
        (5.0, 20.0),
        "Smallest and largest ratio of the clip to its noise, in dB.",
        metavar="DB,DB",
        parse=parse_range,
    )
    preview_augmentation: str | None = option(
        None,
        "Write ten clips as WAV files before and after, into this folder, and end.",
        metavar="FOLDER",
        shown_default="nothing is written",
    )

    def __post_init__(self):
        check_ranges(self)
        low, high = self.noise_snr
        if not -50 <= low <= high <= 100:
            raise OptionError(f"`noise_snr` must be two rising numbers from -50 to 100, got {low:g},{high:g}")
        if self.noise_data is not None and not (self.amount("augment_noise") or self.amount("noise_share")):
            raise OptionError("`noise_data` needs `augment_noise` or `noise_share`")
        if self.preview_augmentation is not None and not self.changes_clips:
            raise OptionError("`preview_augmentation` shows nothing without `augment` light or another augmentation")

    def amount(self, name: str) -> float:
        """Return the value of an option that is a number, that of `augment` if it is not given, or 0."""
        given = getattr(self, name)
        return (LIGHT.get(name, 0.0) if self.augment == "light" else 0.0) if given is None else given

    @property
    def changes_clips(self) -> bool:
        """Whether anything is on."""
        numbers = (each.name for each in fields(self) if each.name.startswith("augment_") or each.name == "noise_share")
        return any(self.amount(name) for name in numbers)
