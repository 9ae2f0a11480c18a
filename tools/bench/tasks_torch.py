"""The tasks of the benchmark for PyTorch: openai-whisper, and transformers with PEFT, which takes a GPU if it can."""

from pathlib import Path

import torch
from whisper import DecodingOptions

from tools.bench.inputs import Repeat, Task, decoder_step, random_mels, read_recording, timed, transcript_tokens
from tools.references.theirs import base_whisper

PACKAGES = ("torch", "openai-whisper", "transformers", "peft")
DEVICE = "cuda" if torch.cuda.is_available() else "mps" if torch.backends.mps.is_available() else "cpu"
wait = getattr(torch, DEVICE).synchronize


def gpu_memory() -> int:
    """Return the memory that PyTorch took of the GPU, in bytes: the largest on CUDA, that of now on Metal."""
    return {"cuda": torch.cuda.max_memory_allocated, "mps": torch.mps.driver_allocated_memory, "cpu": int}[DEVICE]()


def _step(folder: Path, dtype: str, clips: int = 4, labels: int = 24) -> Repeat:
    """Return a training step of transformers with PEFT, which pads every clip to 30 s."""
    from peft import LoraConfig, get_peft_model
    from transformers import WhisperForConditionalGeneration

    model = WhisperForConditionalGeneration.from_pretrained(folder / "hf", dtype=getattr(torch, dtype))
    blocks = model.config.encoder_layers
    config = LoraConfig(
        r=8,
        lora_alpha=16,
        target_modules=["q_proj", "v_proj"],
        layers_to_transform=list(range(blocks - 4, blocks)),
        layers_pattern="layers",
    )
    model = get_peft_model(model, config).to(DEVICE)
    model.train()
    optimizer = torch.optim.AdamW([each for each in model.parameters() if each.requires_grad], lr=1e-3)
    mel = torch.from_numpy(random_mels(clips, 3000)).mT.to(DEVICE, getattr(torch, dtype))
    tokens = torch.tensor([transcript_tokens(labels)] * clips, device=DEVICE)

    def step() -> None:
        loss = model(input_features=mel, decoder_input_ids=tokens[:, :-1], labels=tokens[:, 1:]).loss
        loss.backward()
        torch.nn.utils.clip_grad_norm_(model.parameters(), 1.0)
        optimizer.step()
        optimizer.zero_grad()
        wait()

    return lambda: timed(step)


def _encoder(folder: Path, _: str) -> Repeat:
    model, mel = base_whisper(folder / "mlx"), torch.randn(1, 80, 3000)
    return lambda: timed(lambda: torch.inference_mode()(model.encoder)(mel))


def _decoder(folder: Path, _: str) -> Repeat:
    model = base_whisper(folder / "mlx")
    features = torch.inference_mode()(model.encoder)(torch.randn(1, 80, 3000))
    options = DecodingOptions(language="en", suppress_tokens="-1,50257", fp16=False)
    return decoder_step(lambda count: model.decode(features, options, sample_len=count))


def _transcription(file: str) -> Task:
    def task(folder: Path, _: str) -> Repeat:
        model, (samples, language) = base_whisper(folder / "mlx"), read_recording(folder, file)
        return lambda: timed(lambda: model.transcribe(samples, language=language, temperature=0.0, fp16=False))

    return task


TASKS: dict[str, Task] = {
    "step": _step,
    "step-100-labels": lambda folder, dtype: _step(folder, dtype, clips=8, labels=100),
    "encoder": _encoder,
    "decoder-step": _decoder,
    "long": _transcription("long"),
    "short": _transcription("short"),
}
