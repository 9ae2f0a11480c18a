"""Make the numbers that the tests compare the loss with: the loss of transformers' Whisper for the same labels.

    python -m tools.references.make_loss

Needs the packages that `make parity` installs. Writes tests/training/reference/loss.json: examples (tokens and the
number of them that are the prompt), the loss of each alone, of all as one batch, and some gradients of that. The
model's weights (tools/references/seeded.py) and the log-mels (`mels`) are seeded. Labels are -100 on prompt and
padding, as in any fine-tuning script.
"""

import json
from pathlib import Path

import numpy as np
import torch
from transformers import WhisperConfig, WhisperForConditionalGeneration

from mlx_whisper_lora.whisper.checkpoints.hf_names import to_hf
from mlx_whisper_lora.whisper.checkpoints.layout import from_openai
from tools.references.seeded import VARIANTS, seeded_parameters, small_dims

OUTPUT = Path(__file__).parents[2] / "tests" / "training" / "reference" / "loss.json"
IGNORED = -100
END, START, ENGLISH, TELUGU = 50257, 50258, 50259, 50299
TRANSCRIBE, TRANSLATE, NO_SPEECH, NO_TIMESTAMPS = 50359, 50358, 50362, 50363
EXAMPLES = [
    ([START, ENGLISH, TRANSCRIBE, NO_TIMESTAMPS, 2425, 1002, END], 4),
    ([START, TELUGU, TRANSLATE, NO_TIMESTAMPS, 5, 17, 220, 3, 41, 2, 40000, END], 4),
    ([START, NO_SPEECH, END], 1),
]


def mels() -> np.ndarray:
    """Return the log-mels, shape (3, 3000, 80): noise, which is as good as speech to a random model."""
    return np.random.default_rng(11).standard_normal((len(EXAMPLES), 3000, 80)).astype(np.float16)


def reference_model() -> WhisperForConditionalGeneration:
    settings = VARIANTS["multilingual"]
    dims = small_dims(settings["n_vocab"], settings["n_mels"])
    config = WhisperConfig(
        vocab_size=dims["n_vocab"],
        num_mel_bins=dims["n_mels"],
        d_model=dims["n_audio_state"],
        dropout=0.0,
        encoder_layers=dims["n_audio_layer"],
        encoder_attention_heads=dims["n_audio_head"],
        decoder_layers=dims["n_text_layer"],
        decoder_attention_heads=dims["n_text_head"],
        encoder_ffn_dim=4 * dims["n_audio_state"],
        decoder_ffn_dim=4 * dims["n_audio_state"],
        max_source_positions=dims["n_audio_ctx"],
        max_target_positions=dims["n_text_ctx"],
    )
    model = WhisperForConditionalGeneration(config).eval()
    parameters = seeded_parameters(dims, settings["seed"])
    load_openai_weights(model, {name: torch.from_numpy(array) for name, array in parameters.items()})
    return model


def load_openai_weights(model: WhisperForConditionalGeneration, weights: dict[str, torch.Tensor]) -> None:
    """Load weights that have openai-whisper's names; the encoder's positions, which are fixed, may be missing."""
    renamed = {transformers_name(name): array for name, array in weights.items()}
    missing, unexpected = model.load_state_dict(renamed, strict=False)
    assert not unexpected and set(missing) <= {"proj_out.weight", "model.encoder.embed_positions.weight"}, missing
    model.tie_weights()


def transformers_name(name: str) -> str:
    """Return the name in transformers of a weight that openai-whisper calls `name`."""
    return to_hf(from_openai(name))


def loss(model: WhisperForConditionalGeneration, indices: list[int]) -> torch.Tensor:
    width = max(len(EXAMPLES[i][0]) for i in indices) - 1
    inputs = torch.full((len(indices), width), END)
    labels = torch.full((len(indices), width), IGNORED)
    for row, i in enumerate(indices):
        tokens, prompt_length = EXAMPLES[i]
        inputs[row, : len(tokens) - 1] = torch.tensor(tokens[:-1])
        labels[row, prompt_length - 1 : len(tokens) - 1] = torch.tensor(tokens[prompt_length:])
    features = torch.from_numpy(mels()[indices].astype(np.float32)).swapaxes(1, 2)
    return model(input_features=features, decoder_input_ids=inputs, labels=labels).loss


def main() -> None:
    torch.set_num_threads(1)
    model = reference_model()
    batch_loss = loss(model, [0, 1, 2])
    batch_loss.backward()
    names = ("encoder.blocks.1.attn.query.weight", "decoder.blocks.0.cross_attn.value.weight")
    parameters = dict(model.named_parameters())
    result = {
        "examples": [{"tokens": tokens, "prompt_length": length} for tokens, length in EXAMPLES],
        "loss": batch_loss.item(),
        "losses": [loss(model, [i]).item() for i in range(len(EXAMPLES))],
        "gradients_every_16th": {name: parameters[transformers_name(name)].grad[::16, ::16].tolist() for name in names},
    }
    OUTPUT.parent.mkdir(parents=True, exist_ok=True)
    OUTPUT.write_text(json.dumps(result) + "\n")
    print(f"{OUTPUT.stat().st_size} bytes  {OUTPUT}")


if __name__ == "__main__":
    main()
