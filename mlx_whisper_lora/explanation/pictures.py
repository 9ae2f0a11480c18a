"""Pictures of maps: files of their own, and layers for the page. Only this file imports matplotlib."""

import importlib.util
import io
from collections.abc import Sequence
from os import PathLike
from typing import Any

import numpy as np

from mlx_whisper_lora.explanation.curves import SHARES, Curves, area
from mlx_whisper_lora.explanation.explain import Map
from mlx_whisper_lora.whisper.audio.constants import FRAMES_PER_SECOND
from mlx_whisper_lora.whisper.transcription.word_timing import WordTiming

_COLOR, _AGAINST = (0.88, 0.46, 0.18), (0.18, 0.5, 0.85)  # of maps and their curves, seen on white and on black
_LEVELS = 32  # of transparency: few, so that a picture is small


def check_matplotlib() -> None:
    """Raise ValueError if matplotlib is not installed."""
    if importlib.util.find_spec("matplotlib") is None:
        raise ValueError("pictures require matplotlib: run pip install 'mlx_whisper_lora[explain]'")


def draw_map(file: str | PathLike, mel: np.ndarray, drawn: Map, words: Sequence[WordTiming]) -> None:
    """Write a PNG of the log-mel with the words, of a map over it, and of its curves.

    Args:
        file: the file.
        mel: the log-mel of the clip, shape (F, n_mels).
        drawn: the map.
        words: of the transcript.
    """
    from matplotlib.figure import Figure

    seconds = len(mel) / FRAMES_PER_SECOND
    figure = Figure(figsize=(min(max(seconds, 7), 14), 8), layout="constrained")
    axes = figure.subplot_mosaic([["plain"] * 2, ["map"] * 2, ["deletion", "insertion"]])
    for name in ("plain", "map"):
        place: dict[str, Any] = {"origin": "lower", "aspect": "auto", "extent": (0, seconds, 0, mel.shape[1])}
        axes[name].imshow(mel.T, cmap="gray", **place)
        axes[name].set(ylabel="mel band", xlabel="seconds")
    axes["map"].imshow(_overlay(drawn.values).swapaxes(0, 1), **place)
    for i, word in enumerate(words, start=1):
        axes["plain"].axvline(word.start, color="white", linewidth=0.5)
        middle = (word.start + word.end) / 2
        axes["plain"].text(
            middle, mel.shape[1] + 1, _label(word.word.strip(), i), rotation=90, ha="center", va="bottom"
        )
    for name in ("deletion", "insertion"):
        _draw_curves(axes[name], name, drawn.curves)
    figure.suptitle(f"{_label(drawn.target)}, {drawn.method}, score {drawn.score:.2f}\n{drawn.curves.verdict}")
    figure.savefig(file, dpi=100, format="png")


def _draw_curves(axes: Any, name: str, curves: Curves) -> None:
    own, random = getattr(curves, name), getattr(curves, f"random_{name}")
    axes.plot(SHARES, random.T, color="gray", linewidth=0.8, label=["random maps"] + [None] * (len(random) - 1))
    axes.plot(SHARES, own, color=_COLOR, linewidth=2, label="this map")
    axes.set(title=f"{name}: area {area(own):.2f}, random {np.mean([*map(area, random)]):.2f}", ylim=(0, 1))
    axes.set(xlabel=f"share of cells after {name}", ylabel="probability")
    axes.legend()


def _label(text: str, number: int | None = None) -> str:
    """Return a text if the font of the picture has its letters, or else the number of the word, or what comes first."""
    from matplotlib.font_manager import FontProperties, findfont, get_font

    font = get_font(findfont(FontProperties()))
    if all(font.get_char_index(ord(letter)) for letter in text):
        return text
    return text.split()[0] if number is None else str(number)


def log_mel_layer(mel: np.ndarray) -> bytes:
    """Return a log-mel as a PNG with a pixel for each number, low bands below."""
    return _png(mel, cmap="gray")


def map_layer(values: np.ndarray) -> bytes:
    """Return a map as a transparent PNG to lie over that of the log-mel."""
    return _png(_overlay(values))


def _overlay(values: np.ndarray) -> np.ndarray:
    """Return colors (F, n_mels, 4), dense for large numbers, in another color if they speak against the prediction."""
    sizes = np.abs(values)
    highest = max(np.quantile(sizes, 0.99), sizes.max() / 10, np.finfo(np.float32).tiny)
    opacity = np.round(np.clip(sizes / highest, 0, 1) * _LEVELS) / _LEVELS
    colors = np.where(values[..., None] < 0, _AGAINST, _COLOR)
    return np.concatenate([colors, 0.85 * opacity[..., None]], axis=-1)


def _png(values: np.ndarray, **settings: Any) -> bytes:
    from matplotlib.image import imsave

    file = io.BytesIO()
    imsave(file, np.ascontiguousarray(values.swapaxes(0, 1)[::-1]), format="png", **settings)
    return file.getvalue()
