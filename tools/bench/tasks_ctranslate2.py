"""The tasks of the benchmark for faster-whisper, in float32."""

from pathlib import Path

import ctranslate2
from faster_whisper import WhisperModel

from tools.bench.inputs import Repeat, Task, decoder_step, random_mels, read_recording, timed, transcript_tokens

PACKAGES = ("faster-whisper", "ctranslate2")


def _model(folder: Path) -> WhisperModel:
    return WhisperModel(str(folder / "ct2"), device="cpu", compute_type="float32")


def _transcription(file: str) -> Task:
    def task(folder: Path, _: str) -> Repeat:
        model, (samples, language) = _model(folder), read_recording(folder, file)
        options = {"language": language, "temperature": 0.0, "beam_size": 1}
        return lambda: timed(lambda: list(model.transcribe(samples, **options)[0]))

    return task


def _decoder(folder: Path, _: str) -> Repeat:
    model = _model(folder).model
    mel = random_mels(1, 3000).swapaxes(1, 2).copy()
    features = model.encode(ctranslate2.StorageView.from_array(mel))
    prompt = transcript_tokens(1)[:3]

    def decode(count: int) -> None:
        # It writes half as many tokens as the length allows.
        options = {"beam_size": 1, "max_length": 2 * count, "suppress_tokens": [-1, 50257]}
        (result,) = model.generate(features, [prompt], **options)
        assert len(result.sequences_ids[0]) == count

    return decoder_step(decode)


TASKS: dict[str, Task] = {
    "long": _transcription("long"),
    "short": _transcription("short"),
    "decoder-step": _decoder,
}
