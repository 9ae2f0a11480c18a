"""Loss, WER and CER of a model on labeled clips."""

from dataclasses import replace

import numpy as np
import pytest

from mlx_whisper_lora.data.batches import make_batch
from mlx_whisper_lora.data.clip import Clip
from mlx_whisper_lora.data.dataset import Example, build_examples
from mlx_whisper_lora.data.sources import load_clips
from mlx_whisper_lora.training.evaluation import evaluate
from mlx_whisper_lora.training.loss import cross_entropy_loss
from mlx_whisper_lora.training.metrics import character_error_rate, word_error_rate
from mlx_whisper_lora.whisper.audio.load import load_audio
from mlx_whisper_lora.whisper.checkpoints.load import load_model
from mlx_whisper_lora.whisper.transcription.long_form import transcribe
from mlx_whisper_lora.whisper.transcription.options import TranscriptionOptions
from tests.support.clips import write_clips

TEXTS = {"en": "one two", "te": "మూడు", "hi": "चार"}
GREEDY = TranscriptionOptions(temperature=0.0)


@pytest.fixture
def clips(tmp_path) -> list[Clip]:
    """Clips of tones in three languages."""
    folder = write_clips(tmp_path, list(TEXTS.values()), seconds=1.23)
    return [Clip(folder / f"{i}.wav", text, language) for i, (language, text) in enumerate(TEXTS.items())]


@pytest.fixture
def dataset(model, clips) -> list[Example]:
    return build_examples(clips, model).examples


def transcribe_alone(model, clip: Clip, options: TranscriptionOptions) -> str:
    return transcribe(model, clip.audio, options, language=clip.language)["text"].strip()


@pytest.mark.parametrize("batch_size", [1, 2, 16])
@pytest.mark.parametrize(
    "options",
    [
        GREEDY,
        # The small model fails all thresholds, so that it samples.
        TranscriptionOptions(temperature=(0.0, 0.5, 1.0), best_of=2, without_timestamps=True),
        TranscriptionOptions(temperature=0.0, beam_size=2, without_timestamps=True, sample_len=9),
    ],
)
def test_transcripts_are_those_of_each_clip_alone(options, batch_size, model, clips, dataset):
    result = evaluate(model, dataset, options, batch_size)
    alone = [transcribe_alone(model, clip, options) for clip in clips]
    assert result.hypotheses == alone and len(set(alone)) == 3
    assert result.wer == word_error_rate(TEXTS.values(), alone)
    assert result.cer == character_error_rate(TEXTS.values(), alone)


def test_each_clip_is_transcribed_or_translated_and_translations_are_scored_as_english(model, clips):
    translated = [replace(clip, text="three", task="translate") for clip in clips[1:]]
    result = evaluate(model, build_examples([clips[0], *translated], model).examples, GREEDY)
    alone = [transcribe_alone(model, clip, replace(GREEDY, task="translate")) for clip in translated]
    assert result.hypotheses == [transcribe_alone(model, clips[0], GREEDY), *alone]
    assert result.normalizer == "english"
    assert evaluate(model, build_examples(clips, model).examples, GREEDY).hypotheses[1:] != alone


def test_the_loss_is_the_mean_over_the_label_tokens(model, dataset, monkeypatch):
    monkeypatch.setattr(model, "audio_context", 4.0)
    batches = [make_batch([example], 400) for example in dataset]
    count = sum(len(batch.labels) for batch in batches)
    mean = sum(cross_entropy_loss(model, batch).item() for batch in batches) / count
    assert evaluate(model, dataset, GREEDY, 2).loss == pytest.approx(mean, rel=1e-4)


def test_a_window_without_speech_is_an_empty_text(model, dataset):
    """Every window of the small model is silent with a higher probability than 0, and its text is improbable."""
    options = TranscriptionOptions(temperature=0.0, no_speech_threshold=0.0)
    result = evaluate(model, [replace(example, text="") for example in dataset], options)
    assert (result.hypotheses, result.wer, result.cer) == (["", "", ""], 0.0, 0.0)


def test_the_models_own_transcripts_have_no_errors(model, dataset):
    said = evaluate(model, dataset, GREEDY).hypotheses
    right = [replace(example, text=text) for example, text in zip(dataset, said, strict=True)]
    result = evaluate(model, right, GREEDY)
    assert (result.wer, result.cer) == (0.0, 0.0)


def test_the_normalizer_follows_the_language_unless_it_is_given(model, dataset):
    said = evaluate(model, dataset[:1], GREEDY).hypotheses[0]
    (english,) = (replace(example, text=f"{said} (laughs)") for example in dataset[:1])
    assert evaluate(model, [english], GREEDY).normalizer == "english"
    assert evaluate(model, [english], GREEDY).wer < evaluate(model, [english], GREEDY, normalizer="unicode").wer
    assert evaluate(model, dataset, GREEDY).normalizer == "unicode"


@pytest.mark.slow
def test_a_test_of_the_demo_model_is_what_transcribe_gives(demo_model_folder, demo_clips_folder):
    demo = load_model(demo_model_folder)
    clips = load_clips(demo_clips_folder)["test"][:12]
    options = TranscriptionOptions(temperature=(0.0, 0.4), best_of=2, sample_len=20)
    result = evaluate(demo, build_examples(clips, demo).examples, options)
    assert np.isfinite(result.loss) and any(result.hypotheses)
    assert result.hypotheses == [
        transcribe(demo, load_audio(clip.audio, start=clip.start, end=clip.end), options, language=clip.language)[
            "text"
        ].strip()
        for clip in clips
    ]
