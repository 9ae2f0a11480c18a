"""The report on a run."""

import re
from dataclasses import replace
from functools import partial
from html.parser import HTMLParser

import pytest

from mlx_whisper_lora.data.clip import Clip
from mlx_whisper_lora.training.reporting.metrics_file import MetricsFile, read_numbers
from mlx_whisper_lora.training.reporting.page import ReportPage
from tests.support import events
from tests.support.clips import write_clips


class Page(HTMLParser):
    """The tags of a page, and its text."""

    def __init__(self, html: str):
        super().__init__()
        self.tags: list[tuple[str, dict]] = []
        self.text = ""
        self.feed(html)

    def handle_starttag(self, tag, attributes):
        self.tags.append((tag, dict(attributes)))

    def handle_data(self, data):
        self.text += data


@pytest.fixture
def page(tmp_path, monkeypatch) -> Page:
    """The report on a run whose first validation clip can be played, and whose second one is lost."""
    folder = write_clips(tmp_path / "clips")
    clips = [Clip(str(folder / "0.wav"), "<script>alert(1)</script>"), Clip("lost.wav", "two")]
    found = [replace(each, text=clip.text, clip=clip) for each, clip in zip(events.valid_set(), clips, strict=True)]
    monkeypatch.setattr(events, "valid_set", lambda: found)
    events.play_run(ReportPage(tmp_path / "te.npz"), tmp_path / "te.npz")
    return Page((tmp_path / "te_report.html").read_text())


def test_the_page_has_the_outcome_the_curves_and_the_options(page):
    assert "base: WER 90.00 %, CER 60.00 %, loss 2.000; best adapter: WER 10.00 %, CER 5.00 %, loss 0.500" in page.text
    assert "4 steps, 2.7 passes, peak memory 1.00 GB" in page.text and "train: 3 clips, 0.1 minutes, en" in page.text
    titles = [attributes["aria-label"] for tag, attributes in page.tags if tag == "svg"]
    assert titles == ["Loss", "Errors, in %", "Learning rate", "Seconds of audio a second"]
    assert "steps_per_eval2" in page.text and "rank16" in page.text


def test_transcripts_before_and_after_are_beside_the_players(page):
    assert re.search(r"text <script>alert\(1\)</script>\s+before wan\s+after one\s", page.text)
    assert re.search(r"lost.wav\s+text two\s+before <b>\|</b> too\s+after two", page.text)
    (player,) = (attributes for tag, attributes in page.tags if tag == "audio")
    assert player["src"].startswith("data:audio/flac;base64,")
    assert "script" not in [tag for tag, _ in page.tags]


def test_the_clips_of_the_highest_loss_come_first(page):
    assert re.findall(r"loss (\d+\.\d\d) ", page.text) == ["502.00", "501.00", "500.00"]
    assert "learned slowest, of 3" in page.text


def test_what_came_before_training_is_on_the_page(tmp_path):
    report = ReportPage(tmp_path / "te.npz")
    report.note("All clips, by models that were not trained on them: <WER>")
    events.play_run(report, tmp_path / "te.npz")
    assert "that were not trained on them: <WER>" in Page((tmp_path / "te_report.html").read_text()).text


def test_a_page_needs_no_network(page):
    links = [value for _, attributes in page.tags for name, value in attributes.items() if name in ("src", "href")]
    assert all(link.startswith("data:") for link in links)


def test_the_curves_of_a_run_that_was_cut_off_are_whole(tmp_path):
    """Steps after the last save are done again, and lines of a run before are not of this one."""
    play = partial(events.play_run, adapter_file=tmp_path / "te.npz")
    for steps_before in (0, 2):
        play(MetricsFile(tmp_path / "te.npz"), steps_before=steps_before)
    numbers = [*read_numbers(tmp_path / "te.npz", until=2)]
    assert [(at, each["train/loss"]) for at, each in numbers if "train/loss" in each] == [(2, 1.5), (2, 1.5)]
    page = ReportPage(tmp_path / "te.npz")
    play(page, steps_before=2)
    assert "<title>Training of te.npz" in (tmp_path / "te_report.html").read_text()
    assert [*page._curves["valid/wer"]] == [0, 2, 4]
