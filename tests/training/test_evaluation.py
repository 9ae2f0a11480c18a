"""Loss, WER and CER of a model on labelled clips."""

from dataclasses import replace

import mlx.core as mx
import numpy as np
import pytest

from mlx_whisper_lora.data.batches import make_batch
from mlx_whisper_lora.data.dataset import Example
from mlx_whisper_lora.data.features import clip_frames, pad_frames
from mlx_whisper_lora.data.labels import transcript_tokens
from mlx_whisper_lora.training.evaluation import evaluate
from mlx_whisper_lora.training.loss import cross_entropy_loss
from mlx_whisper_lora.training.metrics import character_error_rate, word_error_rate
from mlx_whisper_lora.whisper.decoding.decode import decode
from mlx_whisper_lora.whisper.text.tokenizer import get_tokenizer
from tests.support.clips import tone

TEXTS = {"en": "one two", "te": "మూడు", "hi": "चार"}


@pytest.fixture(scope="module")
def dataset() -> list[Example]:
    """Clips of 3, 2 and 1 s in three languages."""
    examples = []
    for i, (language, text) in enumerate(TEXTS.items()):
        mel = clip_frames(tone(3 - i, 200 * (i + 1)), 80)
        label = transcript_tokens(get_tokenizer(True, language=language), text)
        examples.append(Example(mel, *label, text=text, language=language))
    return examples


def test_numbers_are_those_of_each_clip_alone(model, dataset):
    result = evaluate(model, dataset, batch_size=2, audio_context=4.0)
    alone = [
        decode(model, mx.array(pad_frames(example.mel, 400)), language=example.language, without_timestamps=True).text
        for example in dataset
    ]
    assert result.hypotheses == alone and len(set(alone)) == 3
    batches = [make_batch([example], 400) for example in dataset]
    count = sum(len(batch.labels) for batch in batches)
    assert result.loss == pytest.approx(
        sum(cross_entropy_loss(model, batch).item() for batch in batches) / count, rel=1e-4
    )
    assert result.wer == word_error_rate(TEXTS.values(), alone)
    assert result.cer == character_error_rate(TEXTS.values(), alone)


def test_the_default_window_is_30_seconds(model, dataset):
    (hypothesis,) = evaluate(model, dataset[2:]).hypotheses
    window = mx.array(pad_frames(dataset[2].mel, 3000))
    assert hypothesis == decode(model, window, language="hi", without_timestamps=True).text


def test_a_window_as_long_as_the_clip(model, dataset):
    (hypothesis,) = evaluate(model, dataset[2:], audio_context=0.0).hypotheses
    window = mx.array(pad_frames(dataset[2].mel, 150))
    assert hypothesis == decode(model, window, language="hi", without_timestamps=True).text


def test_the_models_own_transcripts_have_no_errors(model, dataset):
    said = evaluate(model, dataset, audio_context=4.0).hypotheses
    right = [replace(example, text=text) for example, text in zip(dataset, said, strict=True)]
    result = evaluate(model, right, audio_context=4.0)
    assert (result.wer, result.cer) == (0.0, 0.0)


def test_texts_are_compared_as_the_normalizer_leaves_them(model, dataset):
    result = evaluate(model, dataset, audio_context=4.0, normalizer=lambda text: "the same")
    assert (result.wer, result.cer) == (0.0, 0.0)
    assert result.hypotheses == evaluate(model, dataset, audio_context=4.0).hypotheses


@pytest.mark.slow
def test_the_demo_model_understands_its_clips(demo_model_folder, demo_clips_folder):
    from mlx_whisper_lora.data.dataset import build_examples
    from mlx_whisper_lora.data.sources import load_clips
    from mlx_whisper_lora.whisper.checkpoints.load import load_model

    demo = load_model(demo_model_folder)
    clips = load_clips(demo_clips_folder)["test"][:4]
    result = evaluate(demo, build_examples(clips, demo, None, "transcribe")[0])
    assert np.isfinite(result.loss) and any(result.hypotheses)
