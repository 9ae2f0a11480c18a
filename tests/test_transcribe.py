"""The command that turns sound files into text, and its function."""

import io
import json
import os
import subprocess
import sys
from pathlib import Path

import mlx.core as mx
import numpy as np
import pytest
import soundfile

import mlx_whisper_lora.transcribe
from mlx_whisper_lora.adapters import loading
from mlx_whisper_lora.whisper.audio.load import AudioError
from mlx_whisper_lora.whisper.checkpoints.save import save_model
from tests.support.models import seeded_model
from tools.references.seeded import chirps

command = sys.modules["mlx_whisper_lora.transcribe"]  # the attribute of that name may be the function
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


def test_a_bad_recording_does_not_stop_the_others(model_folder, folder, capsys):
    code = run(model_folder, "--audio", "missing.wav", "text.wav", "--audio", "other.wav", "--verbose", "False")
    assert code == 1
    lines = [line for line in capsys.readouterr().err.splitlines() if "error" in line]
    assert [line.startswith("mlx_whisper_lora.transcribe: error: ") for line in lines] == [True, True]
    assert "missing.wav" in lines[0] and "text.wav" in lines[1]
    assert Path("other.txt").exists()


def test_a_mistyped_name_is_told_before_a_model_is_downloaded(folder):
    with pytest.raises(AudioError, match=r"taIk\.wav: no such file"):
        run("somebody/whisper-of-three-gigabytes", "--audio", "taIk.wav")


def test_options_that_exclude_each_other_are_told_before_a_model_is_downloaded(folder):
    with pytest.raises(ValueError, match="vad needs batch_size"):
        run("somebody/whisper-of-three-gigabytes", "--audio", "other.wav", "--vad", "True")
    with pytest.raises(ValueError, match="vad needs batch_size"):
        mlx_whisper_lora.transcribe("other.wav", path_or_hf_repo="somebody/whisper-of-three-gigabytes", vad=True)


@pytest.mark.slow
def test_recordings_of_one_name_do_not_overwrite_each_other(model_folder, folder, capsys):
    assert run(model_folder, "--audio", "a/talk.wav", "b/Talk.flac") == 0
    assert Path("talk.txt").exists() and Path("Talk-2.txt").exists()
    assert "Talk-2" in capsys.readouterr().out


@pytest.mark.slow
def test_patterns_positions_and_options_name_recordings_alike(model_folder, folder):
    Path("a/notes [1].wav").write_bytes(Path("other.wav").read_bytes())
    assert run(model_folder, "other.wav", "--audio", "a/t*.wav", "**/Talk.flac", "--audio", "a/notes [1].wav") == 0
    assert {path.name for path in Path().glob("*.txt")} == {"other.txt", "talk.txt", "Talk-2.txt", "notes [1].txt"}


def test_a_pattern_without_files_is_told_before_any_work(folder):
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
def test_laid_out_words_require_words(arguments):
    with pytest.raises(ValueError, match=f"^{arguments[0]} requires --word-timestamps True$"):
        command.main(command.build_parser().parse_args(["--model", "no/such/model", *arguments]))


def test_modes_that_do_not_go_together_are_told_before_the_model_is_loaded():
    with pytest.raises(ValueError, match="vad needs batch_size"):
        command.main(command.build_parser().parse_args(["--model", "no/such/model", "--vad", "True"]))


def test_limits_without_effect_are_noted(capsys):
    given = ["--word-timestamps", "True", "--max-line-count", "2"]
    assert command.subtitle_layout(command.build_parser().parse_args(given))["max_line_count"] == 2
    assert "--max-line-count has no effect" in capsys.readouterr().err


def test_clips_and_batches_of_a_recording(model_folder, folder):
    options = ["--clip-timestamps", "0.5,1", "--batch-size", "2", "--initial-prompt", "Names"]
    assert run(model_folder, "--audio", "other.wav", "--output-format", "json", *options) == 0
    segments = json.loads(Path("other.json").read_text())["segments"]
    assert segments and all(segment["seek"] >= 50 for segment in segments)


def test_output_names():
    assert command.output_names(["x", "x", "X", "y.2024"]) == ["x", "x-2", "X-3", "y.2024"]
    assert command.output_names(["x", "x", "x-2"]) == ["x", "x-2", "x-2-2"]
    assert [command.stem_of(name) for name in ("a/y.2024.wav", "-")] == ["y.2024", "content"]


def test_temperatures():
    assert command.temperatures(0.0, 0.2) == [0.0, 0.2, 0.4, 0.6, 0.8, 1.0]
    assert command.temperatures(0.5, 0.3) == [0.5, 0.8]
    assert command.temperatures(0.3, None) == [0.3]
    assert command.temperatures(1.5, 0.2) == [1.5]


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
    ],
)
def test_bad_options_name_the_option(arguments, capsys):
    with pytest.raises(SystemExit) as exit_:
        command.build_parser().parse_args(arguments)
    assert exit_.value.code == 2
    assert arguments[0] in capsys.readouterr().err.splitlines()[-1]


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
    "--beam_size": "None", "--carry_initial_prompt": "True", "--temperature_increment_on_fallback": "None",
}  # fmt: skip
# What MLX leaves no choice in: it takes the GPU where there is one. Downloads go where HF_HOME says.
LEFT_OUT = ("--model_dir", "--device", "--threads")


def test_the_command_takes_the_options_of_mlx_whisper_and_openai_whisper():
    parser = command.build_parser()
    underscored = {name[:2] + name[2:].replace("-", "_"): value for name, value in MLX_WHISPER_OPTIONS.items()}
    for options in (MLX_WHISPER_OPTIONS, underscored | WHISPER_OPTIONS):
        args = vars(parser.parse_args(["x.wav", *(part for option in options.items() for part in option)]))
        assert args["recordings"] == ["x.wav"]
        assert {name.strip("-").replace("-", "_") for name in options} <= args.keys()
        assert args["output_format"] == "all" and args["language"] == "te" and args["best_of"] is None
    assert parser.parse_args(["--output_dir=a_b", "--", "--x_y.wav"]).recordings == ["--x_y.wav"]


@pytest.mark.parametrize("option", LEFT_OUT)
def test_an_option_that_mlx_has_no_use_for_is_refused(option, capsys):
    with pytest.raises(SystemExit):
        command.build_parser().parse_args(["x.wav", option, "1"])
    assert option.replace("_", "-") in capsys.readouterr().err


def shell(*arguments: str, cwd: Path) -> subprocess.CompletedProcess:
    environment = {**os.environ, "PYTHONPATH": str(Path(__file__).parents[1])}
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
    assert len(done.stderr.splitlines()) == 1 and "text.wav: not a readable sound file" in done.stderr
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


def test_an_english_only_model_is_not_asked_for_telugu(tmp_path, folder):
    save_model(seeded_model("english"), tmp_path / "english")
    with pytest.raises(ValueError, match="English-only"):
        run(tmp_path / "english", "--audio", "other.wav", "--language", "te")


OPTIONS = {"language": "en", "temperature": 0.0, "sample_len": 8, "no_speech_threshold": None}


# What mlx_whisper.transcribe and whisper.transcribe take beside the model and the recording; the second half is fields
# of their DecodingOptions.
FUNCTION_OPTIONS = {
    "verbose": None, "temperature": (0.0, 0.2), "compression_ratio_threshold": 2.4, "logprob_threshold": -1.0,
    "no_speech_threshold": None, "condition_on_previous_text": False, "initial_prompt": "names",
    "carry_initial_prompt": True, "word_timestamps": True, "prepend_punctuations": "(", "append_punctuations": ".",
    "clip_timestamps": [0.0, 1.0], "hallucination_silence_threshold": None,
    "task": "transcribe", "language": "en", "sample_len": 8, "best_of": 1, "beam_size": 2, "patience": 1.0,
    "length_penalty": 0.5, "prompt": None, "prefix": "a", "suppress_tokens": [-1], "suppress_blank": True,
    "without_timestamps": False, "max_initial_timestamp": 1.0, "fp16": False,
}  # fmt: skip


def test_the_function_takes_the_arguments_of_mlx_whisper_and_openai_whisper(model_folder):
    result = command.transcribe(chirps(1.5), path_or_hf_repo=str(model_folder), **FUNCTION_OPTIONS)
    assert result.keys() == {"text", "segments", "language"} and result["segments"]
    assert result["segments"][0].keys() == {
        "id",
        "seek",
        "start",
        "end",
        "text",
        "tokens",
        "temperature",
        "avg_logprob",
        "compression_ratio",
        "no_speech_prob",
        "words",
    }


def test_the_function_loads_once_and_again_after_a_change(model_folder, monkeypatch):
    loads = []
    load = loading.load_model
    monkeypatch.setattr(loading, "load_model", lambda *args: loads.append(args) or load(*args))
    monkeypatch.setattr(command, "_MODELS", loading.ModelCache())
    for _ in range(2):
        result = command.transcribe(chirps(1.5), path_or_hf_repo=model_folder, **OPTIONS)
        assert result["segments"]
    assert len(loads) == 1
    os.utime(model_folder / "config.json", ns=(1, 10**19))
    command.transcribe(chirps(1.5), path_or_hf_repo=model_folder, **OPTIONS)
    assert len(loads) == 2


@pytest.mark.parametrize(("fp16", "dtype"), [(True, mx.float16), (False, mx.float32)])
def test_fp16_is_the_type_of_the_weights(model_folder, fp16, dtype):
    command.transcribe(np.zeros(0, np.float32), path_or_hf_repo=model_folder, fp16=fp16, **OPTIONS)
    assert command._MODELS.load(model_folder, None, dtype).dtype == dtype


def test_the_package_and_the_module_are_both_the_function(model_folder):
    sound = np.zeros(0, np.float32)
    for function in (mlx_whisper_lora.transcribe, command):
        assert function(sound, path_or_hf_repo=model_folder, **OPTIONS)["segments"] == []
