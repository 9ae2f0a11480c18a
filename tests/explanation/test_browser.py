"""The page in Chromium: words choose their map, and the cursor follows the clip."""

import numpy as np
import pytest
import soundfile

from mlx_whisper_lora.data.clip import Clip
from mlx_whisper_lora.explanation.explain import explain
from mlx_whisper_lora.explanation.files import write_files
from mlx_whisper_lora.explanation.options import ExplanationOptions
from mlx_whisper_lora.whisper.assets import DEMO_AUDIO
from mlx_whisper_lora.whisper.audio.constants import SAMPLE_RATE
from mlx_whisper_lora.whisper.audio.load import load_audio

pytest.importorskip("playwright", reason="the extra `pages` has Playwright")

from tools.pages.browser import open_page

pytestmark = pytest.mark.slow
SHOWN = "section:not([hidden])"


@pytest.fixture(scope="module")
def page(demo, sentence, tmp_path_factory):
    """Open the page of a sentence. Nothing but the page itself may be asked for."""
    folder = tmp_path_factory.mktemp("page")
    samples = load_audio(DEMO_AUDIO, start=9.55, end=12.05)
    soundfile.write(folder / "talk.wav", samples, SAMPLE_RATE)
    options = ExplanationOptions(words=("2", "7"), methods=("mask", "attention"), mask_steps=3)
    explanation = explain(demo, sentence, options)
    *_, path = write_files(folder / "talk", Clip(folder / "talk.wav", ""), samples, explanation, ["model: demo"])
    asked: list[str] = []
    try:
        with open_page(path.as_uri(), asked=asked) as page:
            yield page
    except FileNotFoundError as error:
        pytest.skip(str(error))
    assert [url for url in asked if not url.startswith(("data:", "file:"))] == []


def test_the_transcript_by_the_first_method_is_shown_at_first(page):
    assert page.locator(SHOWN).get_attribute("id") == "map-0-mask"
    assert page.locator(f"{SHOWN} img").evaluate("image => [image.naturalWidth, image.naturalHeight]") == [250, 80]


def test_a_word_and_a_method_choose_a_map(page):
    page.get_by_role("button", name="apple").click()
    page.get_by_role("button", name="attention").click()
    assert page.locator(SHOWN).inner_text().startswith(("0 s", "7 apple"))
    assert "7 apple, attention" in page.locator(SHOWN).inner_text()
    assert page.get_by_role("button", name="sister").is_disabled()
    page.get_by_role("button", name="transcript").click()
    assert "transcript, attention" in page.locator(SHOWN).inner_text()


def test_a_click_on_the_map_moves_the_clip_and_the_cursor(page):
    picture = page.locator(f"{SHOWN} .mel")
    box = picture.bounding_box()
    picture.click(position={"x": box["width"] / 2, "y": 10})
    page.wait_for_function("document.querySelector('audio').currentTime > 1")
    page.wait_for_function("getComputedStyle(document.documentElement).getPropertyValue('--played') > 0.45")
    cursor = page.locator(f"{SHOWN} .cursor").bounding_box()
    assert cursor["x"] + cursor["width"] - box["x"] == pytest.approx(box["width"] / 2, abs=5)


def test_the_audio_that_the_mask_keeps_can_be_played(page):
    page.get_by_role("button", name="transcript").click()
    page.get_by_role("button", name="mask").click()
    seconds = page.locator(f"{SHOWN} audio").evaluate(
        "sound => new Promise(done => { sound.onloadedmetadata = () => done(sound.duration); sound.load(); })"
    )
    assert np.isclose(seconds, 2.5, atol=0.01)
