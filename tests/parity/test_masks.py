"""Perturbation masks beside a form in PyTorch, written from the formula, on openai-whisper's model."""

import mlx.core as mx
import numpy as np
import torch
import whisper
from torch.nn import functional

from mlx_whisper_lora.explanation.masks import AREA, JITTER, LEARNING_RATE, POWER, VARIATION, mask_maps
from mlx_whisper_lora.explanation.targets import transcript_targets
from mlx_whisper_lora.explanation.transcript import Transcript, find_transcript
from mlx_whisper_lora.whisper.audio.constants import N_SAMPLES
from mlx_whisper_lora.whisper.audio.log_mel import clip_frames
from tests.parity.pairs import DEMO, pair, recording

STEPS = 16


def gaussian_blur(values: torch.Tensor, deviation: int) -> torch.Tensor:
    """Blur the last axis."""
    places = torch.arange(-4 * deviation, 4 * deviation + 1)
    kernel = torch.exp(-0.5 * (places / deviation) ** 2)
    padded = functional.pad(values[:, None], (4 * deviation, 4 * deviation), mode="replicate")
    return functional.conv1d(padded, (kernel / kernel.sum())[None, None])[:, 0]


def torch_mask(model: whisper.Whisper, transcript: Transcript, mel: np.ndarray) -> np.ndarray:
    """Return M for the whole transcript of a window of 30 s."""
    x = torch.from_numpy(mel)
    b = gaussian_blur(gaussian_blur(x.T, 16).T.contiguous(), 8)
    tokens, text = (torch.tensor([each]) for each in ([*transcript.start, *transcript.tokens], transcript.tokens))
    m = torch.ones((1, 1, 375, 10), requires_grad=True)
    optimizer = torch.optim.Adam([m], lr=LEARNING_RATE)
    late = []
    for step, move in enumerate(np.random.default_rng(0).integers(-JITTER, JITTER + 1, (STEPS, 2)).tolist()):
        large = functional.interpolate(m, size=(3000, 80), mode="bilinear", align_corners=False)[0]
        large = large.roll(move, dims=(1, 2))
        logits = model.decoder(tokens, model.encoder((large * x + (1 - large) * b).transpose(1, 2)))
        log_probs = logits[:, len(transcript.start) - 1 : -1].log_softmax(-1).gather(2, text[..., None])
        variation = sum((m.diff(dim=dim).abs() ** POWER).sum() for dim in (2, 3))
        cost = -log_probs.mean() + AREA * m.sum() + VARIATION * variation
        optimizer.zero_grad()
        cost.backward()
        optimizer.step()
        with torch.no_grad():
            m.clamp_(0, 1)
            late += [m.clone()] if step >= STEPS // 2 else []
    mean = torch.stack(late).mean(dim=0)
    return functional.interpolate(mean, size=(3000, 80), mode="bilinear", align_corners=False)[0, 0].numpy()


def test_a_mask_is_that_of_pytorch():
    models = pair(DEMO)
    mel = clip_frames(recording()[:N_SAMPLES], 80)
    transcript = find_transcript(models.ours, mx.array(mel), "en", text="the yellow sister holds this yellow apple")
    targets = transcript_targets(models.ours, transcript, [transcript.whole()], len(mel))
    (mask,) = mask_maps(targets, mel, STEPS)
    expected = torch_mask(models.theirs, transcript, mel)
    assert expected.std() > 0.1  # it has moved
    assert np.abs(mask - expected).mean() < 1e-3 and np.corrcoef(mask.ravel(), expected.ravel())[0, 1] > 0.999
