"""The names of transcripts."""

from mlx_whisper_lora.cli.recordings import output_stem, unique_names


def test_names_that_are_taken_get_a_number():
    assert unique_names(["x", "x", "X", "y.2024"]) == ["x", "x-2", "X-3", "y.2024"]
    assert unique_names(["x", "x", "x-2"]) == ["x", "x-2", "x-2-2"]


def test_a_transcript_is_called_like_its_recording():
    assert [output_stem(name) for name in ("a/y.2024.wav", "-")] == ["y.2024", "content"]
