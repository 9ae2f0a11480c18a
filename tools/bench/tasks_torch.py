"""The tasks of the benchmark for PyTorch: openai-whisper, and transformers with PEFT."""

from collections.abc import Callable
from pathlib import Path

import torch

from tools.bench.inputs import Repeat, random_mels, read_recording, timed, transcript_tokens
from tools.references.theirs import base_whisper


def _step(folder: Path, clips: int = 4, labels: int = 24) -> Repeat:
    """Return a training step of transformers with PEFT, which pads every clip to 30 s."""
    from peft import LoraConfig, get_peft_model
    from transformers import WhisperForConditionalGeneration

    model = WhisperForConditionalGeneration.from_pretrained(folder / "hf", dtype=torch.float32)
    blocks = model.config.encoder_layers
    config = LoraConfig(
        r=8,
        lora_alpha=16,
        target_modules=["q_proj", "v_proj"],
        layers_to_transform=list(range(blocks - 4, blocks)),
        layers_pattern="layers",
    )
    model = get_peft_model(model, config)
    model.train()
    optimizer = torch.optim.AdamW([each for each in model.parameters() if each.requires_grad], lr=1e-3)
    mel = torch.from_numpy(random_mels(clips, 3000)).mT
    tokens = torch.tensor([transcript_tokens(labels)] * clips)

    def step() -> None:
        loss = model(input_features=mel, decoder_input_ids=tokens[:, :-1], labels=tokens[:, 1:]).loss
        loss.backward()
        torch.nn.utils.clip_grad_norm_(model.parameters(), 1.0)
        optimizer.step()
        optimizer.zero_grad()

    return lambda: timed(step)


def _encoder(folder: Path) -> Repeat:
    model, mel = base_whisper(folder / "mlx"), torch.randn(1, 80, 3000)
    return lambda: timed(lambda: torch.inference_mode()(model.encoder)(mel))


def _transcription(file: str) -> Callable[[Path], Repeat]:
    def task(folder: Path) -> Repeat:
        model, (samples, language) = base_whisper(folder / "mlx"), read_recording(folder, file)
        return lambda: timed(lambda: model.transcribe(samples, language=language, temperature=0.0, fp16=False))

    return task


TASKS = {
    "step": _step,
    "step-100-labels": lambda folder: _step(folder, clips=8, labels=100),
    "encoder": _encoder,
    "long": _transcription("long"),
    "short": _transcription("short"),
}
