"""Transcript files."""

import pytest

from mlx_whisper_lora.whisper.transcription.writers import (
    OUTPUT_FORMATS,
    SubtitleLayout,
    WriteSRT,
    format_timestamp,
    get_writer,
    write_result,
)
from tests.support.references import reference

CASE = reference("writers")


def test_all_files_are_openai_whispers_to_the_byte(tmp_path):
    paths = write_result(CASE["result"], tmp_path, "talk.2024", "all")
    assert {path.name: path.read_bytes().decode() for path in paths} == CASE["files"]
    assert sorted(tmp_path.iterdir()) == sorted(paths)


def test_files_with_words_are_openai_whispers_to_the_byte(tmp_path):
    paths = write_result(CASE["timed_result"], tmp_path, "talk.2024", "all")
    assert {path.name: path.read_bytes().decode() for path in paths} == CASE["timed_files"]


@pytest.mark.parametrize("layout", CASE["layouts"], ids=lambda layout: "-".join(layout["options"]))
def test_laid_out_subtitles_are_openai_whispers_to_the_byte(layout, tmp_path):
    for suffix in ("srt", "vtt"):
        (path,) = write_result(CASE["timed_result"], tmp_path, "x", suffix, SubtitleLayout(**layout["options"]))
        assert path.read_bytes().decode() == layout[suffix]


def test_writers_are_called_as_openai_whispers(tmp_path):
    get_writer("all", tmp_path)(CASE["timed_result"], "recordings/talk.2024.mp3")
    assert {path.name: path.read_bytes().decode() for path in tmp_path.iterdir()} == CASE["timed_files"]
    for layout in CASE["layouts"]:
        options = {"highlight_words": False, "max_line_width": None, **layout["options"]}
        get_writer("vtt", str(tmp_path))(CASE["timed_result"], "x.wav", options)
        assert (tmp_path / "x.vtt").read_bytes().decode() == layout["vtt"]
        with (tmp_path / "y").open("w") as file:
            WriteSRT(tmp_path).write_result(CASE["timed_result"], file=file, **layout["options"])
        assert (tmp_path / "y").read_text() == layout["srt"]


def test_a_writer_of_an_unknown_format_is_refused(tmp_path):
    with pytest.raises(ValueError, match="unknown output format 'docx'; give one of txt, vtt, srt, tsv, json, all"):
        get_writer("docx", tmp_path)


def test_a_layout_needs_words(tmp_path):
    with pytest.raises(ValueError, match="word_timestamps"):
        write_result(CASE["result"], tmp_path, "x", "srt", SubtitleLayout(highlight_words=True))
    assert list(tmp_path.iterdir()) == []


def test_a_limit_is_at_least_one():
    with pytest.raises(ValueError, match=r"^max_line_width must be at least 1, got 0$"):
        SubtitleLayout(max_line_width=0)


@pytest.mark.parametrize("output_format", [name for name in OUTPUT_FORMATS if name != "all"])
def test_one_format_writes_one_file(tmp_path, output_format):
    (path,) = write_result(CASE["result"], tmp_path, "x", output_format)
    assert list(tmp_path.iterdir()) == [path] == [tmp_path / f"x.{output_format}"]


@pytest.mark.parametrize("output_format", OUTPUT_FORMATS)
def test_a_recording_without_speech(tmp_path, output_format):
    for path in write_result({"text": "", "segments": [], "language": "en"}, tmp_path, "x", output_format):
        assert path.exists()


def test_unknown_format(tmp_path):
    with pytest.raises(ValueError, match="docx"):
        write_result(CASE["result"], tmp_path, "x", "docx")


@pytest.mark.parametrize(
    ("seconds", "short", "long"),
    [
        (0, "00:00.000", "00:00:00,000"),
        (59.9996, "01:00.000", "00:01:00,000"),
        (3599.9994, "59:59.999", "00:59:59,999"),
        (3599.9996, "01:00:00.000", "01:00:00,000"),
        (360000, "100:00:00.000", "100:00:00,000"),
    ],
)
def test_format_timestamp(seconds, short, long):
    assert format_timestamp(seconds) == short
    assert format_timestamp(seconds, always_include_hours=True, decimal_marker=",") == long


def test_a_negative_time_is_refused():
    with pytest.raises(ValueError, match="negative"):
        format_timestamp(-0.1)
