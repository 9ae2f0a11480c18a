"""The command that trains and tests adapters."""

import re
import shlex
import signal
import subprocess
import time
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import soundfile

from mlx_whisper_lora import lora
from mlx_whisper_lora.adapters.adapter_file import read_adapter, read_adapter_config
from mlx_whisper_lora.adapters.lora import LoRAConfig
from mlx_whisper_lora.cli.training_command import continuing_command
from mlx_whisper_lora.data import dataset
from mlx_whisper_lora.data.sources import load_clips
from mlx_whisper_lora.training import found_clips, objective, run
from mlx_whisper_lora.training.evaluation import evaluate
from mlx_whisper_lora.training.metrics import word_error_rate
from mlx_whisper_lora.whisper.text.normalizers import EnglishTextNormalizer
from tests.support.clips import tone, write_clips, write_jsonl
from tests.support.processes import run_python, run_together, start_python, start_together

# A small model that was trained for some steps says nonsense. These options keep it short.
QUICK = (
    *("--audio-context", 1.5, "--batch-size", 2, "--warmup", 0),
    *("--lora-layers", 1, "--lora-targets", "attn.query,attn.value"),
    *("--full-context-share", 0, "--pack", 0, "--timestamps-share", 0, "--without-timestamps"),
)
RATE = r"\d+\.\d\d % \(\d+\.\d\d to \d+\.\d\d\)"
TEST_LINE = rf"Test loss \d+\.\d{{3}}, WER {RATE}, CER {RATE} \(english normalizer\)"


@pytest.fixture(autouse=True)
def folder(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    return tmp_path


@pytest.fixture
def train(run_main, model_folder, clips_folder):
    """Trains for a few steps; returns the lines printed."""

    def run(*arguments) -> list[str]:
        given = ("--train", "--model", model_folder, "--data", clips_folder, "--overwrite")
        outcome = run_main(lora, *given, *QUICK, *arguments)
        assert outcome.code == 0, outcome.err
        return outcome.out.splitlines()

    return run


def test_clips_in_a_language_that_whisper_lacks_borrow_the_nearest_and_one_line_says_so(run_main, model_folder):
    write_clips(Path("clips"), language="Dhivehi")
    given = ("--train", "--model", model_folder, "--data", "clips", *QUICK, "--iters", 1)
    outcome = run_main(lora, *given)
    note = "Whisper does not know Divehi (dv), so it is taken for Sinhala (si), its nearest relative"
    assert (outcome.code, outcome.err) == (0, f"Note: {note}\n")
    assert read_adapter_config("adapters_last.npz").language == "si"

    outcome = run_main(lora, *given, "--overwrite", "--new-language", "dv")
    assert (outcome.code, outcome.err) == (0, "")
    assert "Note: Divehi has the new token <|dv|>, which starts as that of Sinhala (si)\n" in outcome.out
    assert read_adapter_config("adapters_last.npz").language == "dv"
    outcome = run_main(lora, *given, "--new-language", "or", "--resume-adapter-file", "adapters_last.npz")
    assert outcome.code == 2 and outcome.err == (
        "mlx_whisper_lora.lora: error: the adapter to resume from lacks the --new-language or: train it from the base\n"
    )


def test_training_reports_its_progress_and_leaves_an_adapter(train, model_folder, clips_folder):
    lines = train("--iters", 4, "--steps-per-report", 2, "--steps-per-eval", 2)
    expected = [
        re.escape(f"Loading model {model_folder}"),
        re.escape(f"Clips in {clips_folder}: 3 train, 2 valid, 1 test"),
        r"Iter 0 \(base\): Val loss \d+\.\d{3}, WER \d+\.\d\d %, CER \d+\.\d\d %",
        "Note: encoder blocks that are computed once for each clip: the first 1",
        r"Trainable parameters: encoder 0\.004M, decoder 0\.004M \(0\.\d+ % of 3\.\d+M\)",
        r"Training: 4 steps of 2 clips, 2\.7 passes over 3 clips",
        r"Iter 2: Train loss \d+\.\d{3}, Learning rate \d\.\d{3}e[+-]\d\d, It/sec \d+\.\d{3}, Tokens/sec \d+\.\d, "
        r"Audio sec/sec \d+\.\d, Pass 1\.33, Peak mem \d+\.\d{3} GB, Time left \d\d:\d\d",
        r"Iter 2: Val loss .*",
        r"Iter 4: Train loss .*",
        r"Iter 4: Val loss .*",
    ]
    for line, pattern in zip(lines, expected, strict=False):
        assert re.fullmatch(pattern, line)
    assert len(lines) >= len(expected)
    found = {path.name for path in Path().glob("adapters*")} - {"adapters.npz"}  # the best one may be the base
    assert found == {"adapters_last.npz", "adapters.yaml", "adapters_metrics.jsonl", "adapters_report.html"}


def test_options_reach_the_adapter(train):
    train(
        "--iters",
        1,
        "--lora-rank",
        3,
        "--lora-scale",
        1.5,
        "--lora-dropout",
        0.1,
        "--task",
        "translate",
        "--lora-targets",
        "attn.key, cross_attn.out",
        "--language",
        "Telugu",
        "--adapter-file",
        "te.npz",
    )
    config = read_adapter_config("te_last.npz")  # the best one may be the base
    assert config.settings == LoRAConfig(3, 1.5, 0.1, ("attn.key", "cross_attn.out"), layers=1)
    assert (config.language, config.task, config.audio_context) == ("te", "translate", 1.5)
    assert not list(Path().glob("adapters*.npz"))


def test_one_seed_gives_the_same_lines_and_weights(train):
    def losses(*arguments):
        return [
            line.split(",")[0] for line in train("--iters", 3, "--steps-per-report", 1, *arguments) if "loss" in line
        ]

    one, first = losses("--seed", 5), read_adapter("adapters_last.npz").arrays
    same, second = losses("--seed", 5), read_adapter("adapters_last.npz").arrays
    assert one == same != losses("--seed", 6)
    assert all(np.array_equal(first[name], second[name]) for name in first)


def test_clips_in_several_languages_give_an_adapter_without_one(train, clips_folder):
    rows = [{"audio": f"{i}.wav", "text": "x", "language": code} for i, code in enumerate(("en", "te", "en"))]
    write_jsonl(clips_folder / "train.jsonl", rows)
    train("--iters", 1)
    assert read_adapter_config("adapters.npz").language is None


def test_validation_clips_that_are_all_too_long_mean_no_validation(train, clips_folder):
    soundfile.write(clips_folder / "5.wav", tone(2.0), 16000)
    rows = [{"audio": f"{i}.wav", "text": "x", "language": "en"} for i in (0, 1, 5)]
    write_jsonl(clips_folder / "train.jsonl", rows[:2])
    write_jsonl(clips_folder / "valid.jsonl", rows[2:])
    lines = train("--iters", 1)
    assert f"Left out 1 valid clips (longer than 1.5 s), such as {clips_folder / '5.wav'}" in lines
    assert "Note: there are no validation clips, so the newest adapter counts as the best" in lines
    assert not any("Val loss" in line for line in lines) and Path("adapters.npz").exists()


def test_settings_beyond_the_model_or_the_run_take_what_there_is_with_a_line(train):
    beyond = ("--lora-layers", 4, "--warmup", 99, "--steps-per-eval", 99, "--val-clips", 99, "--batch-size", 99)
    lines = train("--iters", 2, *beyond)
    layers = (
        "Note: the encoder has 2 blocks and the decoder has 2 blocks, and 4 were asked for: all of them are adapted"
    )
    assert layers in lines
    assert "Note: the learning rate rises over all 2 steps (warmup), and does not fall" in lines
    assert "Training: 2 steps of 3 clips, 2.0 passes over 3 clips" in lines


def test_clips_without_text_and_tables_that_are_not_read_are_noted(train, clips_folder):
    write_jsonl(clips_folder / "train.jsonl", [{"audio": "0.wav", "text": " ", "language": "en"}])
    lines = train("--iters", 1)
    assert f"Note: not read, as other tables are there: {clips_folder / 'metadata.jsonl'}" in lines
    assert f"Note: 1 clips have no text, such as {clips_folder / '0.wav'}; they count as silence" in lines


def test_texts_are_cleaned_if_asked_for_and_otherwise_what_cannot_be_seen_is_noted(train, clips_folder):
    rows = [{"audio": f"{i}.wav", "text": f"o\u200bne  {i}", "language": "en"} for i in range(3)]
    write_jsonl(clips_folder / "train.jsonl", rows)
    note = "Note: 3 of 3 texts hold what cannot be seen (3 x ZERO WIDTH SPACE), such as that of "
    assert f"{note}{clips_folder / '0.wav'}; --normalize-text removes it" in train("--iters", 1)
    lines = train("--iters", 1, "--normalize-text")
    start = lines.index("--normalize-text changes 3 of 3 texts (3 x ZERO WIDTH SPACE)")
    assert lines[start + 1 : start + 4] == [
        f"  {clips_folder / '0.wav'}",
        "    before: o\\u200bne  0",
        "    after:  one 0",
    ]
    assert lines[start + 10].startswith("Note: encoder blocks") and len([x for x in lines if "before:" in x]) == 3


def test_the_labels_are_those_of_clean_texts(train, clips_folder):
    def losses(text: str, *arguments: str) -> list[str]:
        write_jsonl(clips_folder / "train.jsonl", [{"audio": "0.wav", "text": text, "language": "en"}])
        lines = train("--iters", 2, "--steps-per-report", 1, *arguments)
        return [re.findall(r"Train loss [\d.]+", line)[0] for line in lines if "Train loss" in line]

    assert losses("cafe\u0301 ", "--normalize-text") == losses("café") != losses("cafe\u0301")


def test_several_data_folders_with_a_weight_each(train, tmp_path):
    more = write_clips(tmp_path / "more", ["one", "two"], split="train")
    lines = train("--iters", 1, "--data", f"{more}:2")
    assert f"Clips in {more}: 2 train, 0 valid, 0 test; each train clip counts 2 times" in lines
    assert any(line.endswith("over 7 clips") for line in lines)  # 3 and 2 times 2


def test_a_column_of_another_name_is_given_by_a_flag(train, clips_folder):
    write_jsonl(clips_folder / "train.jsonl", [{"audio": "0.wav", "words": "x", "language": "en"}])
    write_jsonl(clips_folder / "valid.jsonl", [])
    assert f"Clips in {clips_folder}: 1 train, 0 valid, 0 test" in train("--iters", 1, "--text-column", "words")


def test_resuming_takes_the_base_and_settings_of_the_adapter(train, run_main, clips_folder):
    train("--iters", 1, "--lora-rank", 3)
    outcome = run_main(
        lora,
        "--train",
        "--resume-adapter-file",
        "adapters_last.npz",
        "--data",
        clips_folder,
        *QUICK,
        "--iters",
        1,
        "--adapter-file",
        "more.npz",
    )
    assert outcome.code == 0, outcome.err
    assert "Resuming from adapters_last.npz: rank 3, layers 1, targets attn.query, attn.value" in outcome.out
    assert read_adapter_config("more_last.npz").settings.rank == 3


def test_the_base_is_measured_in_30_s_and_the_adapter_in_its_own_context(train, monkeypatch):
    contexts, evaluate = [], objective.evaluate
    monkeypatch.setattr(
        objective,
        "evaluate",
        lambda model, clips, options, **others: (
            contexts.append((model.audio_context, options.audio_context)),
            evaluate(model, clips, options, **others),
        )[1],
    )
    train("--iters", 1, "--audio-context", "auto")
    assert contexts == [(30, None), (0.0, None)]


def test_clips_longer_than_the_window_are_dropped_with_a_line(train, clips_folder):
    soundfile.write(clips_folder / "0.wav", np.zeros(60_200), 2000)
    soundfile.write(clips_folder / "1.wav", tone(2.0), 16000)
    rows = [{"audio": f"{i}.wav", "text": "x", "language": "en"} for i in range(6)]
    write_jsonl(clips_folder / "train.jsonl", rows)
    lines = train("--iters", 1, "--audio-context", 0)
    assert f"Left out 1 train clips (longer than 30 s), such as {clips_folder / '0.wav'}" in lines
    lines = train("--iters", 1)
    assert f"Left out 2 train clips (longer than 1.5 s), such as {clips_folder / '0.wav'}" in lines


def test_a_clip_that_fails_when_it_is_decoded_is_skipped_with_a_line(train, clips_folder, monkeypatch):
    monkeypatch.setattr(dataset, "_FEW", 0)  # as in a set of many clips
    soundfile.write(clips_folder / "1.wav", np.full(16_000, np.nan), 16_000, "FLOAT")
    write_jsonl(
        clips_folder / "train.jsonl", [{"audio": f"{i}.wav", "text": "one", "language": "en"} for i in range(3)]
    )
    lines = train("--iters", 3, "--skip-bad")
    assert lines.count("Clips that cannot be used, and are skipped: 1") == 1
    place = f"{clips_folder / 'train.jsonl'}, line 2: {clips_folder / '1.wav'}"
    assert f"  {place}: the recording holds NaN or infinite samples; export it again" in lines


def test_clips_are_changed_before_each_step_if_asked_for(train):
    def losses(*arguments) -> list[str]:
        return train_losses(train("--iters", 3, "--steps-per-report", 1, *arguments))

    lines = train("--iters", 1, "--augment", "light")
    assert "Note: clips change at each pass: nothing is kept of them (no feature cache, no encoder cache)" in lines
    augmented = losses("--augment", "light")
    assert augmented == losses("--augment", "light") != losses()


def test_a_preview_of_augmentation_is_written_instead_of_training(run_main, model_folder, clips_folder):
    given = ("--train", "--model", model_folder, "--data", clips_folder, "--augment", "light")
    outcome = run_main(lora, *given, "--preview-augmentation", "heard")
    assert outcome.out.splitlines()[-1] == "Wrote 3 training clips before and after augmentation to heard"
    assert len(list(Path("heard").glob("*.wav"))) == 12 and not list(Path().glob("adapters*.npz"))
    outcome = run_main(lora, "--test", "--model", model_folder, "--data", clips_folder, "--augment", "light")
    assert (outcome.code, outcome.err.splitlines()[0]) == (
        2,
        "mlx_whisper_lora.lora: error: augmentation changes training clips: give --train",
    )


def test_the_last_line_of_a_test_is_its_numbers(run_main, model_folder, clips_folder):
    outcome = run_main(lora, "--test", "--model", model_folder, "--data", clips_folder)
    lines = outcome.out.splitlines()
    assert lines[-2] == "Testing the base model without an adapter on 1 clips"
    assert re.fullmatch(TEST_LINE, lines[-1])
    assert (outcome.code, outcome.err) == (0, "")
    assert not list(Path().glob("*.npz"))


def test_english_clips_are_scored_with_openai_whispers_normalizer(
    demo_model_folder, demo_clips_folder, run_main, monkeypatch
):
    clips = load_clips(demo_clips_folder)["test"][:2]
    noted = [replace(clip, text=f"{clip.text} (laughs)") for clip in clips]  # which the English normalizer leaves out
    results = []

    def kept_evaluate(*arguments, **options):
        results.append(evaluate(*arguments, **options))
        return results[-1]

    monkeypatch.setattr(found_clips, "load_clips", lambda *_: {"train": [], "valid": [], "test": noted})
    monkeypatch.setattr(run, "evaluate", kept_evaluate)
    line = run_main(lora, "--test").out.splitlines()[-1]
    assert re.fullmatch(TEST_LINE, line)
    texts, (result,) = [clip.text for clip in clips], results
    assert f"WER {word_error_rate(texts, result.hypotheses, EnglishTextNormalizer()):.2f} %" in line
    assert f"WER {word_error_rate([clip.text for clip in noted], result.hypotheses):.2f} %" not in line
    line = run_main(lora, "--test", "--normalizer", "unicode").out.splitlines()[-1]
    assert f"WER {word_error_rate([clip.text for clip in noted], result.hypotheses):.2f} %" in line


def test_training_and_testing_at_once_tests_the_adapter_that_was_kept(train, run_main, clips_folder):
    wanted = ("--learning-rate", 0.05, "--lora-targets", "mlp2", "--best-by", "loss")
    lines = train("--test", "--iters", 4, "--steps-per-eval", 2, *wanted)
    assert lines[-2] == "Testing adapters.npz on 1 clips" and re.fullmatch(TEST_LINE, lines[-1])
    later = run_main(
        lora, "--test", "--adapter-file", "adapters.npz", "--data", clips_folder, *QUICK
    )  # the base is the adapter's
    assert later.out.splitlines()[-1] == lines[-1]


def test_language_and_task_default_to_the_adapters(train, run_main, clips_folder):
    """As in the help's examples: what was said in training need not be said again."""
    rows = [{"audio": f"{i}.wav", "text": "x"} for i in range(2)]
    write_jsonl(clips_folder / "train.jsonl", rows)
    write_jsonl(clips_folder / "test.jsonl", rows)
    train("--iters", 1, "--language", "te", "--task", "translate")
    implied = run_main(lora, "--test", "--adapter-file", "adapters.npz", "--data", clips_folder)
    said = run_main(
        lora,
        "--test",
        "--adapter-file",
        "adapters.npz",
        "--data",
        clips_folder,
        "--language",
        "te",
        "--task",
        "translate",
    )
    other = run_main(lora, "--test", "--adapter-file", "adapters.npz", "--data", clips_folder, "--language", "hi")
    assert implied.code == 0 and implied.out == said.out != other.out
    more = ("--train", "--resume-adapter-file", "adapters.npz", "--adapter-file", "more.npz", "--data", clips_folder)
    assert run_main(lora, *more, *QUICK, "--iters", 1).code == 0
    config = read_adapter_config("more.npz")
    assert (config.language, config.task) == ("te", "translate")


def test_translations_are_trained_on_and_tested(train, run_main, clips_folder):
    rows = [{"audio": f"{i}.wav", "text": "నమస్కారం", "english": text, "lang": "te"} for i, text in enumerate("ab ")]
    write_jsonl(clips_folder / "train.jsonl", rows)
    write_jsonl(clips_folder / "test.jsonl", rows[:1])
    assert f"Clips in {clips_folder}: 2 train, 0 valid, 1 test" in train(
        "--iters", 1, "--translation-column", "english"
    )
    config = read_adapter_config("adapters.npz")
    assert (config.language, config.task) == ("te", "translate")
    arguments = ("--test", "--adapter-file", "adapters.npz", "--data", clips_folder, "--translation-column", "english")
    tested = run_main(lora, *arguments, *QUICK)
    assert re.fullmatch(TEST_LINE, tested.out.splitlines()[-1])
    assert tested.err == (f"Note: 1 row is left out (no translation), such as {clips_folder / 'train.jsonl'}, line 3\n")
    wrong = run_main(lora, *arguments, "--task", "transcribe")
    assert wrong.code == 2 and "--task transcribe and --translation-column exclude each other" in wrong.err


def test_transcripts_and_translations_are_trained_on_together(train, clips_folder):
    rows = [{"audio": "0.wav", "text": "నమస్కారం", "language": "te", "aim": "transcribe"}] * 2
    rows += [{"audio": "1.wav", "text": "hello", "language": "te", "aim": "translate"}] * 2
    write_jsonl(clips_folder / "train.jsonl", rows)
    lines = train("--iters", 1, "--task-column", "aim", "--pack", 1)
    assert not [line for line in lines if "another script" in line]
    assert read_adapter_config("adapters.npz").task == "transcribe"
    write_jsonl(clips_folder / "train.jsonl", rows[2:])
    train("--iters", 1, "--task-column", "aim")
    assert read_adapter_config("adapters.npz").task == "translate"


def test_clips_that_the_adapter_was_trained_on_are_counted_and_named(train, run_main, clips_folder):
    rows = [{"audio": f"{i}.wav", "text": "x", "language": "en"} for i in range(4)]
    write_jsonl(clips_folder / "train.jsonl", rows[:3])
    train("--iters", 1, "--adapter-file", "a.npz")
    write_jsonl(clips_folder / "test.jsonl", rows[1:])
    outcome = run_main(lora, "--test", "--adapter-file", "a_last.npz", "--data", clips_folder, *QUICK)
    assert outcome.out.splitlines()[-3:-1] == [
        "Testing a_last.npz on 3 clips",
        f"Warning: the adapter was trained on 2 of them, such as {clips_folder / '1.wav'}; it makes "
        "more errors on clips that it has not heard",
    ]
    assert (
        f"Note: 2 test clips have audio that train clips have too, such as {clips_folder / '1.wav'} and "
        f"{clips_folder / '1.wav'}"
    ) in outcome.out


def test_bad_test_clips_are_reported_before_training(run_main, model_folder, clips_folder):
    """Whether a test follows or not."""
    write_jsonl(clips_folder / "test.jsonl", [{"audio": "bad.wav", "text": "x", "language": "en"}])
    (clips_folder / "bad.wav").write_bytes(b"")
    outcome = run_main(lora, "--train", "--model", model_folder, "--data", clips_folder, *QUICK)
    assert outcome.code == 1 and "test.jsonl, line 1" in outcome.err and "Iter" not in outcome.out


def test_a_test_without_clips_is_reported_before_training(run_main, model_folder, clips_folder):
    write_jsonl(clips_folder / "train.jsonl", [{"audio": "0.wav", "text": "x", "language": "en"}])
    outcome = run_main(lora, "--train", "--test", "--model", model_folder, "--data", clips_folder)
    assert (
        outcome.code == 1 and outcome.err == f"mlx_whisper_lora.lora: error: {clips_folder}: there are no test clips\n"
    )
    assert "Iter" not in outcome.out


def test_without_options_it_is_about_the_bundled_model_and_clips(
    demo_model_folder, demo_clips_folder, run_main, monkeypatch
):
    few = {split: clips[:2] for split, clips in load_clips(demo_clips_folder).items()}
    monkeypatch.setattr(found_clips, "load_clips", lambda *_: few)
    outcome = run_main(lora, "--train", "--iters", 1, "--batch-size", 2, "--steps-per-eval", 1)
    assert outcome.code == 0, outcome.err
    assert "Loading model demo (bundled; --model gives another)" in outcome.out
    assert "(bundled; --data gives others)" in outcome.out
    assert read_adapter_config("adapters_last.npz").base.name == "demo"


def start_training(model_folder, tmp_path, *arguments, **environment) -> subprocess.Popen:
    """Start to train for good."""
    clips = write_clips(tmp_path / "clips")
    given = ("--train", "--model", model_folder, "--data", clips, *QUICK, "--iters", 100000, "--steps-per-report", 1)
    return start_python("-m", "mlx_whisper_lora.lora", *given, *arguments, **environment)


def wait_for_line(process: subprocess.Popen, start: str) -> None:
    assert any(line.startswith(start) for line in process.stdout), process.stderr.read()


@pytest.mark.slow
@pytest.mark.parametrize(
    ("signals", "code", "line"),
    [
        ([signal.SIGINT], 130, "interrupted"),
        ([signal.SIGTERM], 143, "interrupted by SIGTERM"),
        ([signal.SIGHUP, signal.SIGHUP, signal.SIGHUP], 129, "interrupted by SIGHUP"),
        ([signal.SIGINT, signal.SIGTERM, signal.SIGINT], 130, "interrupted"),
    ],
)
def test_signals_save_the_newest_adapter_and_print_the_command_to_go_on_with(
    signals, code, line, model_folder, tmp_path
):
    process = start_training(model_folder, tmp_path, "--adapter-file", "my adapter.npz")
    wait_for_line(process, "Iter 2: Train loss")
    for each in signals:
        process.send_signal(each)
    out, err = process.communicate(timeout=120)
    assert process.returncode == code
    assert out.splitlines()[-1] == "Interrupted: saved the newest adapter to my adapter_last.npz"
    *_, reason, heading, command = err.splitlines()
    assert (reason, heading) == (f"mlx_whisper_lora.lora: {line}", "To continue:") and "Traceback" not in err
    assert command.endswith("-m mlx_whisper_lora.lora --resume --adapter-file 'my adapter.npz'")
    files = ["my adapter.yaml", "my adapter_last.npz", "my adapter_metrics.jsonl", "my adapter_state.npz"]
    assert sorted(path.name for path in tmp_path.iterdir()) == ["clips", *files]
    assert read_adapter_config("my adapter_last.npz").settings.layers == 1


@pytest.mark.slow
def test_a_reader_that_leaves_has_the_newest_adapter_saved(model_folder, tmp_path):
    process = start_training(model_folder, tmp_path)
    wait_for_line(process, "Iter 2: Train loss")
    process.stdout.close()
    err = process.stderr.read()
    assert process.wait(timeout=120) == 1 and "Traceback" not in err and "Broken pipe" not in err
    continued = start_python(*shlex.split(err.splitlines()[-1])[1:])
    wait_for_line(continued, "Going on after iteration ")
    wait_for_line(continued, "Iter ")
    continued.kill()
    continued.communicate()


def test_the_command_to_go_on_with_can_be_pasted():
    assert shlex.split(continuing_command("mlx_whisper_lora.lora", "it's.npz"))[1:] == [
        *("-m", "mlx_whisper_lora.lora", "--resume", "--adapter-file", "it's.npz")
    ]


def test_a_run_that_is_not_there_cannot_be_resumed(run_main):
    outcome = run_main(lora, "--resume")
    assert outcome.code == 2 and "adapters.yaml: No such file or directory" in outcome.err


@pytest.mark.slow
def test_two_processes_train_and_evaluate_as_one_does(model_folder, tmp_path):
    """As under `mlx.launch -n 2 --backend ring`. A step of a full window has one clip, so that one process has none."""
    clips = write_clips(tmp_path / "clips", [f"text {i}" for i in range(16)])
    given = (
        *("-m", "mlx_whisper_lora.lora", "--train", "--test", "--model", model_folder, "--data", clips, *QUICK),
        *("--iters", 4, "--batch-size", 4, "--steps-per-report", 1, "--steps-per-eval", 2),
        *("--full-context-share", 0.5, "--temperature-increment-on-fallback", None, "--adapter-file"),
    )
    alone = run_python(*given, tmp_path / "one.npz")
    first, other = run_together(2, tmp_path, *given, tmp_path / "both.npz")
    assert (alone.code, first.code, other.code, other.out) == (0, 0, 0, ""), alone.err + first.err + other.err
    results = [
        [re.sub(r", Learning rate.*|\w+.npz", "", line) for line in each.out.splitlines()] for each in (alone, first)
    ]
    assert results[0] == results[1] and re.fullmatch(TEST_LINE, results[0][-1])
    one, both = read_adapter("one_last.npz").arrays, read_adapter("both_last.npz").arrays
    for name in one:
        np.testing.assert_allclose(both[name], one[name], atol=1e-5)


@pytest.fixture
def two_processes(model_folder, tmp_path):
    """Two processes that train together, after their second step."""
    clips = write_clips(tmp_path / "clips")
    given = ("--train", "--model", model_folder, "--data", clips, *QUICK, "--iters", 100000, "--steps-per-report", 1)
    both = start_together(2, tmp_path, "-m", "mlx_whisper_lora.lora", *given)
    wait_for_line(both[0], "Iter 2: Train loss")
    yield both
    for process in both:
        process.kill()
        process.communicate()


@pytest.mark.slow
def test_a_lost_process_has_the_newest_adapter_saved(two_processes):
    first, other = two_processes
    other.kill()
    out, err = first.communicate(timeout=120)
    assert first.returncode == 1 and "Traceback" not in err
    assert out.splitlines()[-1] == "Interrupted: saved the newest adapter to adapters_last.npz"
    assert re.search("lora: error: (the connection to the other .* failed: .*|process 1 has ended)\n", err)
    *_, heading, command = err.splitlines()
    assert heading == "To continue in each of 2 processes:"
    assert command.endswith("-m mlx_whisper_lora.lora --resume")
    assert read_adapter_config("adapters_last.npz").settings.layers == 1


# The command, with less patience, and with a function that ends or freezes a process which calls it.
LOSING = """
import os, signal
from mlx_whisper_lora import lora
from mlx_whisper_lora.training import evaluation, found_clips, heartbeat, loop
from mlx_whisper_lora.whisper import stopping
heartbeat.SILENCE, stopping.PATIENCE = 5, 1
if os.environ["MLX_RANK"] == "{rank}":
    {place} = lambda *_, **__: os.kill(os.getpid(), signal.{signal})
lora.cli()
"""


@pytest.mark.slow
@pytest.mark.parametrize("sign", ["SIGSTOP", "SIGKILL"])
@pytest.mark.parametrize(
    ("rank", "place"),
    [(0, "found_clips.load_clips"), (1, "evaluation._transcribe"), (0, "loop.batch_frames"), (1, "loop.batch_frames")],
)
def test_a_process_that_is_lost_at_any_time_ends_the_others(rank, place, sign, model_folder, clips_folder, tmp_path):
    program = LOSING.format(rank=rank, place=place, signal=sign)
    given = ("--train", "--model", model_folder, "--data", clips_folder, *QUICK, "--iters", 9)
    both = start_together(2, tmp_path, "-c", program, *given)
    out, err = both[1 - rank].communicate(timeout=60)
    both[rank].kill()
    both[rank].communicate()
    assert both[1 - rank].returncode == 1 and "Traceback" not in err
    lost = f"process {rank} " + ("does not answer anymore" if sign == "SIGSTOP" else "has ended")
    assert f"mlx_whisper_lora.lora: error: {lost}" in err or ("KILL" in sign and "processes that train along" in err)
    trained = rank == 1 and place.startswith("loop")
    assert Path("adapters_last.npz").exists() == trained == ("Interrupted: saved the newest adapter" in out)


@pytest.mark.slow
def test_a_process_that_is_frozen_does_not_keep_the_first_one_from_saving(two_processes):
    """Control-C is only noticed because another thread waits for it: MLX is deaf while it waits for a process."""
    first, other = two_processes
    other.send_signal(signal.SIGSTOP)
    time.sleep(1)
    first.send_signal(signal.SIGINT)
    out, err = first.communicate(timeout=120)
    assert first.returncode == 130 and "Traceback" not in err
    assert out.splitlines()[-1] == "Interrupted: saved the newest adapter to adapters_last.npz"
    assert err.splitlines()[-1].endswith("-m mlx_whisper_lora.lora --resume")
    assert read_adapter_config("adapters_last.npz").settings.layers == 1


def train_losses(lines: list[str]) -> list[str]:
    return [line.split(",")[0] for line in lines if "Train loss" in line]
