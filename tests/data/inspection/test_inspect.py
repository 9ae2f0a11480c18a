"""A data set with faults, from its folder to a summary, JSON and a page."""

import base64
import io
import json
import re
from html.parser import HTMLParser
from pathlib import Path

import numpy as np
import pytest
import soundfile

from mlx_whisper_lora.data.clip import DataError
from mlx_whisper_lora.data.inspection.findings import Finding
from mlx_whisper_lora.data.inspection.inspect import Inspection, inspect_clips
from mlx_whisper_lora.data.inspection.page import write_page
from mlx_whisper_lora.data.inspection.summary import finding_lines, summary_lines, to_json
from mlx_whisper_lora.data.sources import load_clips
from mlx_whisper_lora.whisper.text.tokenizer import get_tokenizer
from tests.support.clips import tone, write_clips, write_jsonl


@pytest.fixture
def folder(tmp_path, monkeypatch) -> Path:
    """Return a folder with a clip of each of some faults, as seen from its parent."""
    monkeypatch.chdir(tmp_path)
    rows = [
        {"audio": "0.wav", "text": "fine"},
        {"audio": "1.wav", "text": "<script>alert(1)</script>\u202e"},
        {"audio": "2.wav", "text": "damaged"},
        {"audio": "9.wav", "text": "missing"},
    ]
    write_clips(Path("clips"), ["x"] * 3)
    Path("clips/metadata.jsonl").unlink()
    Path("clips/2.wav").write_text("no audio")
    write_jsonl(Path("clips/train.jsonl"), rows)
    return Path("clips")


def inspection_of(folder: Path) -> Inspection:
    bad: list[DataError] = []
    splits = load_clips(folder, bad)
    return inspect_clips(str(folder), splits, bad, get_tokenizer(multilingual=True), "en")


def test_clips_that_cannot_be_read_are_findings_and_the_others_are_measured(folder):
    inspection = inspection_of(folder)
    assert [each.clip.text for each in inspection.clips] == ["fine", "<script>alert(1)</script>\u202e"]
    first = inspection.clips[0]
    assert (first.audio.seconds, first.script, first.n_tokens) == (1.0, "LATIN", 1)
    found = [(each.kind, each.clip and each.clip.audio.name) for each in inspection.findings]
    assert found == [("bad", None), ("bad", "2.wav"), ("hidden", "1.wav")]


def test_the_terminal_shows_counts_reasons_and_three_examples(folder):
    inspection = inspection_of(folder)
    findings = inspection.findings + [Finding("bad", f"clip {i}") for i in range(4)]
    assert list(summary_lines(inspection)) == [
        "train: 2 clips, 0.00 hours",
        "valid: 0 clips, 0.00 hours",
        "test: 0 clips, 0.00 hours",
        "length: 1 to 1, median 1 seconds",
        "characters a second: 4 to 26, median 15",
        "tokens of a text: 1 to 15, median 8",
        "languages: en (2)",
        "scripts: Latin (2)",
        "sample rates: 16000 Hz (2)",
    ]
    lines = list(finding_lines(findings))
    assert lines[0] == "Cannot be used: 6 clips"
    assert (
        lines[1]
        == "  clips/train.jsonl, line 4: there is no recording clips/9.wav; paths start from the table's folder"
    )
    assert lines[2].startswith("  clips/2.wav (train): clips/2.wav: not a readable audio file")
    assert lines[3:] == [
        "  clip 0",
        "  and 3 more",
        "Characters that cannot be seen, or letters that are not composed (NFC): 1 clip",
        "  clips/1.wav (train): 1 x RIGHT-TO-LEFT OVERRIDE",
    ]


def test_json_has_every_clip_and_finding(folder):
    found = json.loads(json.dumps(to_json(inspection_of(folder))))
    assert [clip["row"] for clip in found["clips"]] == ["clips/train.jsonl, line 1", "clips/train.jsonl, line 2"]
    assert found["clips"][0] == found["clips"][0] | {"seconds": 1.0, "rate": 16000, "tokens": 1, "split": "train"}
    assert [each["kind"] for each in found["findings"]] == ["bad", "bad", "hidden"]


class Page(HTMLParser):
    """Collects the elements of a page, and checks that each is closed."""

    EMPTY = ("meta", "rect", "path")

    def __init__(self, text: str):
        super().__init__()
        self.open: list[str] = []
        self.found: list[tuple[str, dict]] = []
        self.text = ""
        self.feed(text)
        assert self.open == []

    def handle_starttag(self, tag, attributes):
        self.found.append((tag, dict(attributes)))
        if tag not in self.EMPTY:
            self.open.append(tag)

    def handle_endtag(self, tag):
        if tag not in self.EMPTY:
            assert self.open.pop() == tag

    def handle_startendtag(self, tag, attributes):
        self.found.append((tag, dict(attributes)))

    def handle_data(self, data):
        self.text += data + "\n"


def page_of(inspection: Inspection) -> Page:
    file = io.StringIO()
    write_page(inspection, file)
    return Page(file.getvalue())


def test_the_page_plays_the_clip_and_escapes_its_text(folder):
    page = page_of(inspection_of(folder))
    tags = [tag for tag, _ in page.found]
    assert "script" not in tags and "<script>alert(1)</script>" in page.text
    (player,) = (attributes for tag, attributes in page.found if tag == "audio")
    assert player["aria-label"] == "clips/1.wav" and "controls" in player
    kind, data = player["src"].split(",")
    assert kind == "data:audio/flac;base64"
    samples, rate = soundfile.read(io.BytesIO(base64.b64decode(data)), dtype="float32")
    assert rate == 16000 and np.abs(samples - tone(1.0, 300)).max() < 2e-4


def test_the_page_needs_no_network(folder):
    page = page_of(inspection_of(folder))
    links = [value for _, attributes in page.found for name, value in attributes.items() if name in ("src", "href")]
    assert links and all(link.startswith("data:") for link in links)


def test_the_page_shows_what_a_model_hears(folder):
    inspection = inspection_of(folder)
    suspect = Finding("mismatch", "why", inspection.clips[0].clip, "train", heard="something <else>")
    page = page_of(inspection.add([suspect]))
    assert re.search(r"why\s+text\s+fine\s+heard\s+something <else>", page.text)


def test_histograms_count_every_clip(folder):
    titles = re.findall(r"(?m)^[\d.]+ to [\d.]+: (\d+)$", page_of(inspection_of(folder)).text)
    assert sum(map(int, titles)) == 2 + 2  # lengths, and characters a second


def test_an_empty_data_set_has_a_page(tmp_path):
    page = page_of(Inspection("clips", [], []))
    assert "Nothing suspicious was found." in page.text and "svg" not in [tag for tag, _ in page.found]
