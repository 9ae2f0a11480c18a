"""Write an explanation as one HTML page that needs no network: choose a word, see its map, and hear the clip."""

import base64
from collections.abc import Mapping, Sequence
from html import escape
from typing import IO

import numpy as np

from mlx_whisper_lora.data.clip import Clip
from mlx_whisper_lora.data.html import PAGE_END, page_start, player
from mlx_whisper_lora.explanation.curves import SHARES
from mlx_whisper_lora.explanation.explain import Explanation, Map
from mlx_whisper_lora.explanation.pictures import log_mel_layer, map_layer
from mlx_whisper_lora.explanation.summary import GAMES, map_line
from mlx_whisper_lora.training.reporting.chart import draw_curves
from mlx_whisper_lora.whisper.audio.constants import FRAMES_PER_SECOND

_WIDTH = 90  # pixels of a second, at least
_STYLE = """
.choice button { font: inherit; margin: .1rem; padding: .1rem .4rem; border: 1px solid GrayText; border-radius: .3rem;
  background: none; color: inherit; cursor: pointer; }
.choice button.now { background: #e0752d55; }
.choice button[aria-pressed=true] { border-color: #e0752d; box-shadow: inset 0 0 0 1px #e0752d; }
.choice button:disabled { border-style: dotted; opacity: .6; cursor: default; }
.scroll { overflow-x: auto; }
.wide { min-width: 100%; }
.mel { position: relative; height: 16rem; background-size: 100% 100%; cursor: crosshair; }
.mel img { width: 100%; height: 100%; display: block; }
.cursor { position: absolute; inset: 0 auto 0 calc(var(--played, 0) * 100%); border-left: 2px solid #3aa655; }
.seconds { position: relative; height: 1.5rem; font-size: .8rem; }
.seconds span { position: absolute; border-left: 1px solid GrayText; padding-left: .2rem; }
"""
_SCRIPT = """
const root = document.documentElement, sounds = document.querySelectorAll("audio");
sounds[0].preload = "auto";  // so that a click can move it before it has played
const chosen = {target: undefined, method: undefined};
const buttons = kind => document.querySelectorAll(`button[data-${kind}]`);
const section = (target, method) => document.getElementById(`map-${target}-${method}`);
function show(kind, value) {
  chosen[kind] = value;
  for (const button of buttons("method")) button.disabled = !section(chosen.target, button.dataset.method);
  if (!section(chosen.target, chosen.method))
    chosen.method = [...buttons("method")].find(button => !button.disabled).dataset.method;
  for (const each of document.querySelectorAll("section")) each.hidden = each !== section(chosen.target, chosen.method);
  for (const each of ["target", "method"])
    for (const button of buttons(each)) button.ariaPressed = button.dataset[each] === chosen[each];
}
for (const kind of ["target", "method"])
  for (const button of buttons(kind)) button.onclick = () => show(kind, button.dataset[kind]);
function follow() {
  const sound = [...sounds].find(each => !each.paused) || sounds[0], time = sound.currentTime;
  root.style.setProperty("--played", time / Number(root.dataset.seconds));
  for (const word of document.querySelectorAll("button[data-start]"))
    word.classList.toggle("now", time > 0 && time >= word.dataset.start && time < word.dataset.end);
  for (const view of document.querySelectorAll("section:not([hidden]) .scroll"))
    if (!sound.paused) view.scrollLeft = time / root.dataset.seconds * view.scrollWidth - view.clientWidth / 2;
  if (!sound.paused) requestAnimationFrame(follow);
}
for (const sound of sounds) for (const event of ["play", "seeked", "timeupdate"]) sound.addEventListener(event, follow);
for (const mel of document.querySelectorAll(".mel")) mel.onclick = event => {
  sounds[0].currentTime = event.offsetX / mel.clientWidth * root.dataset.seconds;
};
show("target", buttons("target")[0].dataset.target);
"""


def write_page(
    file: IO[str], clip: Clip, explanation: Explanation, kept: Mapping[str, Clip], lines: Sequence[str]
) -> None:
    """Write the page of an explanation.

    Args:
        file: an open text file.
        clip: the clip that is explained, of up to 30 s.
        explanation: of the clip.
        kept: the audio that a mask keeps, by the name of its target.
        lines: what the page says first, such as the model.
    """
    targets = [*dict.fromkeys(each.target for each in explanation.maps)]
    file.write(page_start(f"What the {'transcript' if explanation.transcript else 'class'} rests on", lines))
    file.write(f"<style>{_STYLE}\n.mel {{ background-image: url({_data(log_mel_layer(explanation.mel))}); }}</style>\n")
    file.write(player(clip))
    file.write(_choice(explanation, targets))
    for each in explanation.maps:
        audio = kept.get(each.target) if each.method == "mask" else None
        file.write(_section(each, targets.index(each.target), len(explanation.mel) / FRAMES_PER_SECOND, audio))
    seconds = len(explanation.mel) / FRAMES_PER_SECOND
    file.write(f"<script>document.documentElement.dataset.seconds = {seconds};{_SCRIPT}</script>\n{PAGE_END}")


def _choice(explanation: Explanation, targets: list[str]) -> str:
    """Return buttons for the targets, of which words have their times, and for the methods."""
    transcript = explanation.transcript
    words = {transcript.word(i).name: word for i, word in enumerate(transcript.words)} if transcript else {}
    others = [name for name in targets if name not in words]
    buttons = [f'<button data-target="{targets.index(name)}">{escape(name)}</button>' for name in others]
    language = transcript.text_language if transcript else ""
    for name, word in words.items():
        place = f'data-target="{targets.index(name)}"' if name in targets else 'disabled title="not explained"'
        times = f'data-start="{word.start:.2f}" data-end="{word.end:.2f}"'
        text = f'<bdi lang="{language}">{escape(word.word.strip())}</bdi>'
        buttons.append(f"<button {place} {times}>{text}</button>")
    methods = dict.fromkeys(each.method for each in explanation.maps)
    chosen = "".join(f'<button data-method="{name}">{name}</button>' for name in methods)
    return f'<p class="choice">{"".join(buttons)}</p>\n<p class="choice">{chosen}</p>\n'


def _section(shown: Map, target: int, seconds: float, kept: Clip | None) -> str:
    """Return the map of a target by a method, with its curves, and with the audio that a mask keeps."""
    ticks = "".join(f'<span style="left: {100 * at / seconds:.2f}%">{at} s</span>' for at in range(int(seconds) + 1))
    curves = "".join(f"<figure>{_curves(shown, game)}</figure>" for game in GAMES)
    sound = f"<p>What the mask keeps of the recording:</p>{player(kept)}" if kept else ""
    against = " Blue places speak against the prediction." if shown.values.min() < 0 else ""
    return f"""<section id="map-{target}-{shown.method}" hidden>
<div class="scroll"><div class="wide" style="width: {_WIDTH * seconds:.0f}px">
<div class="mel"><img alt="map" src="{_data(map_layer(shown.values))}"><div class="cursor"></div></div>
<div class="seconds">{ticks}</div></div></div>
<p>{escape(map_line(shown))}.{against}</p><p>{shown.curves.verdict}</p>{sound}{curves}</section>
"""


def _curves(shown: Map, name: str) -> str:
    random = np.mean(getattr(shown.curves, f"random_{name}"), axis=0)
    points = {"random maps": random, "map": getattr(shown.curves, name)}
    title = f"Probability after {name}"
    return draw_curves(
        title, {key: [*zip(SHARES, map(float, curve), strict=True)] for key, curve in points.items()}, "share"
    )


def _data(png: bytes) -> str:
    return f"data:image/png;base64,{base64.b64encode(png).decode()}"
