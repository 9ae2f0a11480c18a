"""How well a model does on labelled clips: loss, WER, CER."""

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
    """loss: nats per label token. wer, cer: per cent. hypotheses: the model's texts, in the dataset's order."""

    loss: float
    wer: float
    cer: float
    hypotheses: list[str]


def evaluate(
    model: Whisper,
    dataset: Sequence[Example],
    batch_size: int = 16,
    task: str = "transcribe",
    audio_context: float = 30.0,
    description: str = "Evaluating",
    normalizer: Normalizer = normalize_unicode,
) -> Evaluation:
    """Loss and greedy transcripts of `dataset`, each clip in a window of `audio_context` seconds (0: as long as the
    longest clip beside it), its language given. `normalizer` makes texts alike before WER and CER are counted."""
    frames = context_frames(audio_context)
    # Clips of one language and of like length share a batch.
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
