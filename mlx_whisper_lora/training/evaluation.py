"""Evaluate a model on clips: loss, word error rate and character error rate."""

from collections.abc import Sequence
from dataclasses import dataclass

import mlx.core as mx
from tqdm import tqdm

from mlx_whisper_lora.data.batches import batched, make_batch
from mlx_whisper_lora.data.dataset import Example
from mlx_whisper_lora.data.features import context_frames
from mlx_whisper_lora.training.loss import loss_from_features
from mlx_whisper_lora.training.metrics import character_error_rate, word_error_rate
from mlx_whisper_lora.whisper.decoding.decode import decode_features
from mlx_whisper_lora.whisper.decoding.options import DecodingOptions
from mlx_whisper_lora.whisper.model.whisper import Whisper
from mlx_whisper_lora.whisper.text.normalizers import Normalizer, normalize_unicode


@dataclass(frozen=True)
class Evaluation:
    """The result of `evaluate`."""

    loss: float  # nats per label token
    wer: float  # word error rate, in per cent
    cer: float  # character error rate, in per cent
    hypotheses: list[str]  # the transcripts, in the order of the dataset


def evaluate(
    model: Whisper,
    dataset: Sequence[Example],
    batch_size: int = 16,
    task: str = "transcribe",
    audio_context: float = 30.0,
    description: str = "Evaluating",
    normalizer: Normalizer = normalize_unicode,
) -> Evaluation:
    """Compute the loss, and transcribe clips greedily, each in its given language.

    Args:
        model: the model.
        dataset: the examples.
        batch_size: number of clips to decode together.
        task: "transcribe" or "translate".
        audio_context: seconds of audio in a window. 0 stands for as many as the longest clip of a batch has.
        description: a title for the progress bar.
        normalizer: makes texts alike before their words are compared.
    """
    frames = context_frames(audio_context)
    # Clips of one language and of similar length share a batch.
    order = sorted(range(len(dataset)), key=lambda i: (dataset[i].language or "", len(dataset[i].mel)))
    hypotheses = [""] * len(dataset)
    loss, count = 0.0, 0
    with tqdm(total=len(dataset), desc=description, unit="clip", disable=None, leave=False) as bar:
        for indices in batched(order, batch_size):
            batch = make_batch([dataset[i] for i in indices], frames)
            features = model.encode(batch.mel)
            loss += loss_from_features(model, features, batch).item()
            count += len(batch.labels)
            for language in {dataset[i].language for i in indices}:
                rows = [row for row, i in enumerate(indices) if dataset[i].language == language]
                options = DecodingOptions(language=language, task=task, without_timestamps=True)
                for row, result in zip(rows, decode_features(model, features[mx.array(rows)], options), strict=True):
                    hypotheses[indices[row]] = result.text
            bar.update(len(indices))
    references = [example.text for example in dataset]
    wer, cer = (rate(references, hypotheses, normalizer) for rate in (word_error_rate, character_error_rate))
    return Evaluation(loss / max(count, 1), wer, cer, hypotheses)
