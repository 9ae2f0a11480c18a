"""The command that transcribes audio files."""

import importlib
import io
import json
import os
import re
import shutil
import subprocess
import sys
from pathlib import Path

import pytest
import soundfile

import mlx_whisper_lora
from mlx_whisper_lora.adapters import loading
from mlx_whisper_lora.whisper.audio.errors import AudioError
from mlx_whisper_lora.whisper.checkpoints.save import save_model
from mlx_whisper_lora.whisper.errors import CheckpointError
from mlx_whisper_lora.whisper.model.whisper import Whisper
from mlx_whisper_lora.whisper.option import OptionError
from tests.support.models import seeded_model, small_model
from tests.support.pt_writer import write_openai_checkpoint
from tools.references.seeded import chirps

command = importlib.import_module("mlx_whisper_lora.transcribe")  # the attribute of that name may be the function
FAST = ["--language", "en", "--temperature-increment-on-fallback", "None", "--no-speech-threshold", "None"]


@pytest.fixture(scope="module")
def model_folder(tmp_path_factory):
    folder = tmp_path_factory.mktemp("model")
    save_model(seeded_model("multilingual"), folder)
    return folder


@pytest.fixture
def folder(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    for path in ("a/talk.wav", "b/Talk.flac", "other.wav"):
        Path(path).parent.mkdir(exist_ok=True)
        soundfile.write(path, chirps(1.5), 16000)
    Path("text.wav").write_text("no sound")
    return tmp_path


def run(model_folder, *arguments: str) -> int:
    args = command.build_parser().parse_args(["--model", str(model_folder), *FAST, *arguments])
    return command.main(args)


def test_one_recording(model_folder, folder, capsys):
    assert run(model_folder, "--audio", "other.wav", "--output-dir", "out/deep", "--output-format", "all") == 0
    names = sorted(path.name for path in Path("out/deep").iterdir())
    assert names == ["other.json", "other.srt", "other.tsv", "other.txt", "other.vtt"]
    result = json.loads(Path("out/deep/other.json").read_text())
    assert result["language"] == "en" and result["segments"]
    assert "[00:0" in capsys.readouterr().out


@pytest.mark.parametrize(("given", "frames"), [("auto", 200), ("5", 500), ("30", 3000)])
def test_the_encoder_sees_as_much_as_the_audio_context_says(given, frames, model_folder, folder, monkeypatch):
    shapes, encode = [], Whisper.encode
    monkeypatch.setattr(Whisper, "encode", lambda model, mel: (shapes.append(mel.shape[1]), encode(model, mel))[1])
    assert run(model_folder, "--audio", "other.wav", "--audio-context", given) == 0
    context = given if given == "auto" else float(given)
    options = {"language": "en", "temperature": 0.0, "no_speech_threshold": None, "audio_context": context}
    mlx_whisper_lora.transcribe("other.wav", path_or_hf_repo=str(model_folder), **options)
    assert shapes == [frames] * 2


def test_a_bad_recording_does_not_stop_the_others(model_folder, folder, capsys):
    code = run(model_folder, "--audio", "missing.wav", "text.wav", "--audio", "other.wav", "--verbose", "False")
    assert code == 1
    captured = capsys.readouterr()
    lines = [line for line in captured.err.splitlines() if line.startswith("mlx_whisper_lora.transcribe: error: ")]
    assert len(lines) == 2 and "missing.wav" in lines[0] and "text.wav" in lines[1]
    assert Path("other.txt").exists() and "3 of 3: other.wav" in captured.out.splitlines()
    closing = captured.err.splitlines()[-3:]
    assert closing[0] == "2 of 3 recordings failed:"
    assert closing[1].startswith("  missing.wav: ") and closing[2].startswith("  text.wav: not a readable")


@pytest.mark.parametrize(("arguments", "expected"), [(["other.wav"], "base"), ([], "demo")])
def test_the_default_model_is_base_and_demo_for_the_bundled_recording(arguments, expected, folder, monkeypatch):
    asked: list[str] = []

    def resolve(name: str) -> Path:
        asked.append(name)
        raise CheckpointError("no model here")

    monkeypatch.setattr(loading, "resolve_model", resolve)
    with pytest.raises(CheckpointError):
        command.main(command.build_parser().parse_args(arguments))
    assert asked == [expected]


def test_a_mistyped_name_is_reported_before_a_model_is_downloaded(folder):
    with pytest.raises(AudioError, match=r"taIk\.wav: no such file"):
        run("somebody/whisper-of-three-gigabytes", "--audio", "taIk.wav")


def test_options_that_exclude_each_other_are_reported_before_a_model_is_downloaded(folder, run_main):
    outcome = run_main(
        command, "--model", "somebody/whisper-of-three-gigabytes", "--audio", "other.wav", "--vad", "True"
    )
    assert (outcome.code, outcome.err) == (
        2,
        "mlx_whisper_lora.transcribe: error: --vad requires --batch-size: only batched transcription splits the "
        "recording at pauses\n",
    )


@pytest.mark.slow
def test_recordings_of_one_name_do_not_overwrite_each_other(model_folder, folder, capsys):
    assert run(model_folder, "--audio", "a/talk.wav", "b/Talk.flac") == 0
    assert Path("talk.txt").exists() and Path("Talk-2.txt").exists()
    assert "Another recording is called Talk too: this transcript is called Talk-2\n" in capsys.readouterr().out


@pytest.mark.slow
def test_recordings_are_given_as_patterns_arguments_and_options(model_folder, folder):
    Path("a/notes [1].wav").write_bytes(Path("other.wav").read_bytes())
    assert run(model_folder, "other.wav", "--audio", "a/t*.wav", "**/Talk.flac", "--audio", "a/notes [1].wav") == 0
    assert {path.name for path in Path().glob("*.txt")} == {"other.txt", "talk.txt", "Talk-2.txt", "notes [1].txt"}


def test_a_pattern_without_files_is_reported_before_any_work(folder):
    with pytest.raises(AudioError, match=r"^a/\*\.mp3: no file matches this pattern$"):
        run(Path("no/such/model"), "--audio", "other.wav", "a/*.mp3")


@pytest.mark.slow
def test_standard_input(model_folder, folder, monkeypatch):
    run(model_folder, "other.wav", "--output-format", "json")
    monkeypatch.setattr("sys.stdin", io.TextIOWrapper(io.BytesIO(Path("other.wav").read_bytes())))
    assert run(model_folder, "--audio", "-", "--output-format", "json") == 0
    assert Path("content.json").read_bytes() == Path("other.json").read_bytes()


@pytest.mark.slow
def test_words_in_subtitles(model_folder, folder):
    arguments = ["--audio", "other.wav", "--output-format", "all", "--output-name", "words"]
    assert run(model_folder, *arguments, "--word-timestamps", "True", "--highlight-words", "True") == 0
    segments = json.loads(Path("words.json").read_text())["segments"]
    words = [word for segment in segments for word in segment["words"]]
    assert words and all(0 <= word["start"] <= word["end"] <= 1.6 for word in words)
    assert "<u>" in Path("words.srt").read_text() and "<u>" in Path("words.vtt").read_text()


@pytest.mark.parametrize(
    "arguments", [["--highlight-words", "True"], ["--max-line-width", "9"], ["--max-words-per-line", "9"]]
)
def test_a_layout_of_words_requires_words(arguments):
    with pytest.raises(OptionError) as raised:
        run("no/such/model", *arguments)
    assert raised.value.with_flags() == f"{arguments[0]} requires --word-timestamps True"


@pytest.mark.parametrize(
    ("arguments", "note"),
    [
        (["--max-line-count", "2"], "Note: --max-line-count has no effect without --max-line-width\n"),
        (
            ["--max-words-per-line", "2", "--max-line-width", "9"],
            "Note: --max-words-per-line has no effect with --max-line-width\n",
        ),
    ],
)
def test_limits_without_effect_are_noted(arguments, note, model_folder, folder, capsys):
    assert run(model_folder, "other.wav", "--word-timestamps", "True", *arguments) == 0
    assert capsys.readouterr().err == note


def test_clips_and_batches_of_a_recording(model_folder, folder):
    options = ["--clip-timestamps", "0.5,1", "--batch-size", "2", "--initial-prompt", "Names"]
    assert run(model_folder, "--audio", "other.wav", "--output-format", "json", *options) == 0
    segments = json.loads(Path("other.json").read_text())["segments"]
    assert segments and all(segment["seek"] >= 50 for segment in segments)


@pytest.mark.parametrize(
    "arguments",
    [
        ["--language", "klingon"],
        ["--verbose", "maybe"],
        ["--temperature", "-1"],
        ["--temperature-increment-on-fallback", "0"],
        ["--best-of", "0"],
        ["--logprob-threshold", "low"],
        ["--output-format", "docx"],
        ["--output-name", "folder/name"],
        ["--max-line-width", "0"],
        ["--fp16", "yes"],
        ["--audio-context", "31"],
    ],
)
def test_a_wrong_value_is_reported_with_its_option(arguments, run_main):
    outcome = run_main(command, *arguments)
    assert outcome.code == 2
    assert arguments[0] in outcome.err.splitlines()[0] and len(outcome.err.splitlines()) <= 2


# The options of mlx_whisper 0.4.3, with values that both commands take.
MLX_WHISPER_OPTIONS = {
    "--model": "x", "--output-name": "x", "--output-dir": "x", "--output-format": "all", "--verbose": "False",
    "--task": "translate", "--language": "Telugu", "--temperature": "0.5", "--best-of": "None", "--patience": "1",
    "--length-penalty": "0.5", "--suppress-tokens": "-1", "--initial-prompt": "x",
    "--condition-on-previous-text": "False", "--fp16": "True", "--compression-ratio-threshold": "None",
    "--logprob-threshold": "-0.5", "--no-speech-threshold": "None", "--word-timestamps": "True",
    "--prepend-punctuations": "(", "--append-punctuations": ".", "--highlight-words": "True", "--max-line-width": "9",
    "--max-line-count": "2", "--max-words-per-line": "3", "--hallucination-silence-threshold": "None",
    "--clip-timestamps": "0,5",
}  # fmt: skip
# The further options of openai-whisper 20250625, which writes them all with underscores.
WHISPER_OPTIONS = {
    "--model_dir": "x", "--device": "cuda", "--threads": "0",
    "--beam_size": "None", "--carry_initial_prompt": "True", "--temperature_increment_on_fallback": "None",
}  # fmt: skip


def test_the_command_takes_the_options_of_mlx_whisper_and_openai_whisper():
    parser = command.build_parser()
    underscored = {name[:2] + name[2:].replace("-", "_"): value for name, value in MLX_WHISPER_OPTIONS.items()}
    for options in (MLX_WHISPER_OPTIONS, underscored | WHISPER_OPTIONS):
        args = vars(parser.parse_args(["x.wav", *(part for option in options.items() for part in option)]))
        assert args["recordings"] == ["x.wav"]
        assert {name.strip("-").replace("-", "_") for name in options} <= args.keys()
        assert args["output_format"] == "all" and args["language"] == "te" and args["best_of"] is None
    assert parser.parse_args(["--output_dir=a_b", "--", "--x_y.wav"]).recordings == ["--x_y.wav"]


def test_old_flags_of_openai_whispers_command_are_taken_with_a_note(model_folder, folder, run_main):
    Path("downloads").mkdir()
    write_openai_checkpoint(Path("downloads/small.pt"), small_model())
    flags = ["--model_dir", "downloads", "--device", "cuda", "--threads", "4", "--output_dir", "out", "--fp16", "False"]
    outcome = run_main(command, "--model", "small", "other.wav", *flags, "--clip_timestamps", "0,0.001")
    assert outcome.err.splitlines() == [
        "Note: --device cuda has no effect: MLX computes on the CPU; mlx.core.set_default_device sets another",
        "Note: --threads has no effect: OPENBLAS_NUM_THREADS limits the threads on a Linux CPU",
    ]
    assert outcome.code == 0 and Path("out/other.txt").exists()


def test_flags_of_openai_whispers_command_that_ask_for_nothing_are_silent(model_folder, folder, run_main):
    outcome = run_main(command, "--model", model_folder, "other.wav", *FAST, "--device", "cpu", "--threads", "0")
    assert (outcome.code, outcome.err) == (0, "")


def shell(*arguments: str, cwd: Path, **variables: str) -> subprocess.CompletedProcess:
    environment = {**os.environ, "PYTHONPATH": str(Path(__file__).parents[1]), **variables}
    return subprocess.run(
        [sys.executable, "-m", "mlx_whisper_lora.transcribe", *arguments],
        cwd=cwd,
        env=environment,
        capture_output=True,
        text=True,
    )


@pytest.mark.slow
def test_from_a_shell(model_folder, folder):
    done = shell("--model", str(model_folder), "--audio", "text.wav", "other.wav", *FAST, cwd=folder)
    assert done.returncode == 1
    assert len(done.stderr.splitlines()) == 3 and "text.wav: not a readable audio file" in done.stderr
    assert "Wrote other.txt" in done.stdout


@pytest.mark.slow
@pytest.mark.parametrize(
    "arguments",
    [
        ["--model", "no/such/model"],
        ["--model", ".", "--audio", "other.wav"],
        ["--adapter-file", "other.wav"],
    ],
)
def test_bad_input_ends_in_one_line(folder, arguments):
    done = shell(*arguments, cwd=folder)
    assert done.returncode == 1 and "Traceback" not in done.stderr
    assert done.stderr.startswith("mlx_whisper_lora.transcribe: error: ") and len(done.stderr.splitlines()) == 1


def test_an_english_only_model_refuses_telugu(tmp_path, folder):
    save_model(seeded_model("english"), tmp_path / "english")
    with pytest.raises(ValueError, match="English-only"):
        run(tmp_path / "english", "--audio", "other.wav", "--language", "te")


def same_file(folder: Path) -> list[str]:
    """A recording that is called like its transcript."""
    Path("other.wav").rename("other.txt")
    return ["other.txt"]


def linked_file(folder: Path) -> list[str]:
    Path("other.txt").symlink_to("other.wav")
    return ["other.wav"]


def hard_link(folder: Path) -> list[str]:
    os.link("other.wav", "other.txt")
    return ["other.wav"]


def another_recording(folder: Path) -> list[str]:
    Path("other.txt").write_bytes(Path("other.wav").read_bytes())
    return ["other.wav", "other.txt"]


def file_of_the_model(folder: Path) -> list[str]:
    return ["other.wav", "--output-dir", "model", "--output-name", "config", "--output-format", "json"]


@pytest.mark.parametrize("case", [same_file, linked_file, hard_link, another_recording, file_of_the_model])
def test_a_transcript_replaces_nothing_that_the_command_reads(case, model_folder, folder, run_main):
    shutil.copytree(model_folder, "model")
    arguments = case(folder)
    before = {path: path.read_bytes() for path in Path().rglob("*") if path.is_file()}
    outcome = run_main(command, "--model", "model", *FAST, *arguments)
    assert outcome.code == 2 and "would replace " in outcome.err and "--output-dir" in outcome.err
    assert {path: path.read_bytes() for path in Path().rglob("*") if path.is_file()} == before


def device(folder: Path) -> list[str]:
    Path("other.txt").symlink_to(os.devnull)
    return ["this is a device or a pipe"]


def pipe(folder: Path) -> list[str]:
    os.mkfifo("other.txt")
    return ["this is a device or a pipe"]


def folder_of_that_name(folder: Path) -> list[str]:
    Path("other.txt").mkdir()
    return ["this is a folder"]


def file_for_a_folder(folder: Path) -> list[str]:
    Path("x").write_text("")
    return ["x: this is not a folder", "--output-dir", "x/y"]


def folder_of_the_system(folder: Path) -> list[str]:
    if not Path("/proc/self").exists():
        pytest.skip("needs /proc")
    return ["/proc: no file can be written in this folder", "--output-dir", "/proc/transcripts"]


@pytest.mark.parametrize("case", [device, pipe, folder_of_that_name, file_for_a_folder, folder_of_the_system])
def test_a_place_that_cannot_be_written_is_reported_before_a_model_is_downloaded(case, folder, run_main):
    message, *arguments = case(folder)
    outcome = run_main(command, "--model", "somebody/whisper-of-three-gigabytes", "other.wav", *arguments)
    assert outcome.code == 1 and message in outcome.err and len(outcome.err.splitlines()) == 1


def test_existing_transcripts_are_skipped(model_folder, folder, capsys):
    Path("other.srt").write_text("old")
    arguments = ["other.wav", "a/talk.wav", "--output-format", "srt", "--skip-existing"]
    assert run(model_folder, *arguments) == 0
    out = capsys.readouterr().out.splitlines()
    assert out[1:3] == ["1 of 2: other.wav skipped, because other.srt is there", "2 of 2: a/talk.wav"]
    assert Path("other.srt").read_text() == "old" and Path("talk.srt").read_text()
    assert run(Path("no/such/model"), *arguments) == 0
    assert capsys.readouterr().out == "All transcripts are there: nothing to do\n"


def test_recordings_of_one_name_are_not_taken_for_each_other(folder, run_main):
    outcome = run_main(command, "a/talk.wav", "b/Talk.flac", "--skip-existing")
    assert outcome.code == 2 and "--skip-existing requires recordings of different names" in outcome.err
    assert "b/Talk.flac" in outcome.err


def test_a_recording_that_is_given_twice_is_transcribed_once(model_folder, folder):
    assert run(model_folder, "other.wav", "./other.wav", "oth*.wav") == 0
    assert [path.name for path in Path().glob("*.txt")] == ["other.txt"]


def test_the_terminal_says_that_nothing_was_heard(model_folder, folder, capsys):
    assert run(model_folder, "other.wav", "--no-speech-threshold", "0", "--logprob-threshold", "None") == 0
    assert Path("other.txt").read_text() == ""
    assert capsys.readouterr().out.splitlines()[-2:] == ["Nothing heard in other.wav", "Wrote other.txt"]


def test_replacing_an_older_transcript_is_said(model_folder, folder, capsys):
    Path("other.txt").write_text("of another recording")
    assert run(model_folder, "other.wav") == 0
    assert capsys.readouterr().out.splitlines()[-2:] == ["Replaced the old other.txt", "Wrote other.txt"]


def test_control_c_writes_the_part_that_is_done(model_folder, folder, monkeypatch, run_main):
    recordings = importlib.import_module("mlx_whisper_lora.cli.recordings")
    soundfile.write("long.wav", chirps(65), 16000)
    show = recordings.shown_steps

    def interrupted_after_a_window(transcription, verbose):
        yield next(show(transcription, verbose))
        raise KeyboardInterrupt

    monkeypatch.setattr(recordings, "shown_steps", interrupted_after_a_window)
    arguments = ("--model", model_folder, *FAST, "long.wav", "other.wav", "--output-format", "json")
    outcome = run_main(command, *arguments)
    assert outcome.code == 130
    assert {path.name for path in Path().glob("*.json")} == {"long.partial.json"}
    segments = json.loads(Path("long.partial.json").read_text())["segments"]
    assert segments and segments[-1]["end"] <= 31
    lines = outcome.out.splitlines()[-2:]
    assert re.fullmatch(r"Interrupted: \d+ of 65 s of long\.wav are in long\.partial\.json", lines[0])
    assert "the same command with --skip-existing continues there" in lines[1]

    monkeypatch.setattr(recordings, "shown_steps", show)
    assert run_main(command, *arguments, "--skip-existing").code == 0
    assert {path.name for path in Path().glob("*.json")} == {"long.json", "other.json"}


def test_a_reader_that_leaves_loses_nothing_that_is_done(model_folder, folder, monkeypatch, run_main):
    recordings = importlib.import_module("mlx_whisper_lora.cli.recordings")
    show = recordings.shown_steps

    def left_after_a_window(transcription, verbose):
        yield next(show(transcription, verbose))
        raise BrokenPipeError

    monkeypatch.setattr(recordings, "shown_steps", left_after_a_window)
    assert run_main(command, "--model", model_folder, *FAST, "other.wav").code == 1
    assert {path.name for path in Path().glob("*.txt")} == {"other.partial.txt"}


@pytest.mark.slow
def test_names_that_the_terminal_lacks_do_not_stop_the_batch(model_folder, folder):
    names = ["\x1b[2Jక.wav", os.fsdecode(b"bad\xff.wav")]
    for name in names:
        shutil.copy("other.wav", name)
    done = shell("--model", str(model_folder), *names, *FAST, cwd=folder, PYTHONIOENCODING="ascii")
    assert (done.returncode, done.stderr) == (0, "")
    assert r"1 of 2: \x1b[2J\u0c15.wav" in done.stdout and r"2 of 2: bad\udcff.wav" in done.stdout
    assert {path.name for path in Path().glob("*.txt")} == {"\x1b[2Jక.txt", os.fsdecode(b"bad\xff.txt")}
