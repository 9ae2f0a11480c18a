"""The page in Chromium: recording with a microphone that plays a file, choosing files, and what it says to errors."""

import re

import numpy as np
import pytest
import soundfile

from mlx_whisper_lora.adapters.loading import load_model
from mlx_whisper_lora.whisper.assets import DEMO_AUDIO
from mlx_whisper_lora.whisper.audio.constants import SAMPLE_RATE
from mlx_whisper_lora.whisper.audio.load import load_audio
from mlx_whisper_lora.whisper.transcription.writers import to_vtt

pytest.importorskip("gradio", reason="the extra `pages` has Gradio")
pytest.importorskip("playwright", reason="the extra `pages` has Playwright")

from tools.pages.browser import choose_file, open_chromium, record, serve_studio, transcribe

pytestmark = pytest.mark.slow
TEXT = "the yellow sister holds this yellow apple"
SRT = re.compile(r"1\n00:00:(\S+) --> 00:00:(\S+)\n(.*)\n\n")


@pytest.fixture(scope="module")
def address(adapter_file):
    with serve_studio("--model", "demo", "--adapter-file", adapter_file) as address:
        yield address


@pytest.fixture
def page(address, talk):
    """Open the page; nothing but the page itself may be asked for."""
    asked: list[str] = []
    try:
        with open_chromium(address, talk) as page:
            page.on("request", lambda request: asked.append(request.url.removeprefix("blob:")))
            yield page
    except FileNotFoundError as error:
        pytest.skip(str(error))
    assert asked and all(url.startswith((address, "data:")) for url in asked), asked


def texts(page) -> list[str]:
    """Return the transcripts on the page. Each is one segment."""
    return page.locator("p[lang]").all_inner_texts()


def word_rows(page) -> list[list[str]]:
    """Return the words on the page, and their starts and ends."""
    cells = page.get_by_role("gridcell").all_inner_texts()
    return [cells[i : i + 3] for i in range(0, len(cells), 3)]


def download(page, button) -> str:
    with page.expect_download() as downloading:
        button.click()
    return downloading.value.path().read_text(encoding="utf-8")


def test_what_the_microphone_records_is_transcribed_and_its_subtitles_are_downloaded(page):
    record(page, seconds=4.5)
    transcribe(page)

    assert texts(page)[0] == TEXT
    words = word_rows(page)[:7]
    assert " ".join(word for word, _, _ in words) == TEXT
    assert 0.5 < float(words[2][1]) < 3  # a second of silence, and the time until the microphone is open, are before it
    *times, text = SRT.fullmatch(download(page, page.get_by_role("button", name="SRT").first)).groups()
    assert text == TEXT
    assert [float(time.replace(",", ".")) for time in times] == [float(words[0][1]), float(words[-1][2])]


def test_base_and_adapter_are_side_by_side(page, talk, adapter_file):
    choose_file(page, talk)
    transcribe(page)

    models = [load_model("demo"), load_model("demo", adapter_file=adapter_file)]
    expected = [model.transcribe(str(talk), language="en", word_timestamps=True) for model in models]
    assert texts(page) == [result["text"].strip() for result in expected]
    assert texts(page) == [TEXT, TEXT.replace("apple", "purple")]
    assert page.locator("mark").all_inner_texts() == ["apple", "purple"]
    assert download(page, page.get_by_role("button", name="VTT").last) == to_vtt(expected[1])


def test_without_its_strength_the_adapter_is_the_base(page, talk):
    choose_file(page, talk)
    page.get_by_label("number input for Strength of the adapter").fill("0")
    transcribe(page)
    assert texts(page) == [TEXT, TEXT] and page.locator("mark").count() == 0


def test_after_a_transcription_that_was_canceled_another_one_runs(page, talk, tmp_path):
    recording = tmp_path / "long.wav"
    soundfile.write(recording, load_audio(DEMO_AUDIO), SAMPLE_RATE)
    choose_file(page, recording)
    page.get_by_role("button", name="Transcribe").click()
    page.locator("progress").wait_for()
    page.get_by_role("button", name="Cancel").click()
    page.get_by_text("Canceled").wait_for()
    page.get_by_label("Clear").click()
    choose_file(page, talk)
    transcribe(page)
    assert texts(page)[0] == TEXT


@pytest.mark.parametrize(
    ("content", "line"),
    [
        (None, "Record something first, or choose a file."),
        (b"no sound", "bad.wav: not a readable audio file"),
        (np.zeros(SAMPLE_RATE), "bad.wav: the recording is silent; is the microphone on, and the right one?"),
    ],
)
def test_errors_are_one_line_on_the_page(content, line, page, tmp_path):
    recording = tmp_path / "bad.wav"
    if isinstance(content, bytes):
        recording.write_bytes(content)
    elif content is not None:
        soundfile.write(recording, content, SAMPLE_RATE)
    if content is not None:
        choose_file(page, recording)
    page.get_by_role("button", name="Transcribe").click()
    page.get_by_text(line).wait_for()
    assert texts(page) == []
