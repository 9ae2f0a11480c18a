"""Make the numbers that the tests compare the loss with: what transformers' Whisper gives for the same labels.

    python -m venv reference && reference/bin/pip install torch transformers
    reference/bin/python -m tools.references.make_loss

Writes tests/training/reference/loss.json: examples (tokens and how many of them are the prompt), the loss of each
alone, of all as one batch, and some of that one's gradients. The model's weights and the spectrograms are seeded, see
tools/references/seeded.py and `mels`. Labels are -100 on prompt and padding, as in any fine-tuning script.
"""

import json
from pathlib import Path

import numpy as np
import torch
from transformers import WhisperConfig, WhisperForConditionalGeneration

from tools.references.seeded import VARIANTS, seeded_parameters, small_dims

ROOT = Path(__file__).parents[2]


OUTPUT = ROOT / "tests" / "training" / "reference" / "loss.json"
IGNORED = -100
END, START, ENGLISH, TELUGU, TRANSCRIBE, TRANSLATE, NO_SPEECH, NO_TIMESTAMPS = (
    50257, 50258, 50259, 50299, 50359, 50358, 50362, 50363,
)  # fmt: skip
EXAMPLES = [
    ([START, ENGLISH, TRANSCRIBE, NO_TIMESTAMPS, 2425, 1002, END], 4),
    ([START, TELUGU, TRANSLATE, NO_TIMESTAMPS, 5, 17, 220, 3, 41, 2, 40000, END], 4),
    ([START, NO_SPEECH, END], 1),
]
NAMES = {  # openai-whisper's -> transformers'
    "blocks": "layers", "mlp.0": "fc1", "mlp.2": "fc2", "mlp_ln": "final_layer_norm",
    "cross_attn_ln": "encoder_attn_layer_norm", "attn_ln": "self_attn_layer_norm", "cross_attn": "encoder_attn",
    "attn": "self_attn", "query": "q_proj", "key": "k_proj", "value": "v_proj", "out": "out_proj",
    "ln_post": "layer_norm", "ln": "layer_norm", "token_embedding": "embed_tokens",
}  # fmt: skip


def mels() -> np.ndarray:
    """The spectrograms, shape (3, 3000, 80): noise, which is as good as speech to a random model."""
    return np.random.default_rng(11).standard_normal((len(EXAMPLES), 3000, 80)).astype(np.float16)


def transformers_name(name: str) -> str:
    name = name.replace("mlp.0", "fc1").replace("mlp.2", "fc2")
    if name == "decoder.positional_embedding":
        return "model.decoder.embed_positions.weight"
    return "model." + ".".join(NAMES.get(part, part) for part in name.split("."))


def reference_model() -> WhisperForConditionalGeneration:
    settings = VARIANTS["multilingual"]
    dims = small_dims(settings["n_vocab"], settings["n_mels"])
    config = WhisperConfig(
        vocab_size=dims["n_vocab"], num_mel_bins=dims["n_mels"], d_model=dims["n_audio_state"], dropout=0.0,
        encoder_layers=dims["n_audio_layer"], encoder_attention_heads=dims["n_audio_head"],
        decoder_layers=dims["n_text_layer"], decoder_attention_heads=dims["n_text_head"],
        encoder_ffn_dim=4 * dims["n_audio_state"], decoder_ffn_dim=4 * dims["n_audio_state"],
        max_source_positions=dims["n_audio_ctx"], max_target_positions=dims["n_text_ctx"],
    )  # fmt: skip
    model = WhisperForConditionalGeneration(config).eval()
    parameters = seeded_parameters(dims, settings["seed"])
    weights = {transformers_name(name): torch.from_numpy(array) for name, array in parameters.items()}
    missing, unexpected = model.load_state_dict(weights, strict=False)
    assert not unexpected and set(missing) <= {"proj_out.weight", "model.encoder.embed_positions.weight"}, missing
    model.tie_weights()
    return model


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
    whole = loss(model, [0, 1, 2])
    whole.backward()
    names = ("encoder.blocks.1.attn.query.weight", "decoder.blocks.0.cross_attn.value.weight")
    parameters = dict(model.named_parameters())
    result = {
        "examples": [{"tokens": tokens, "prompt_length": length} for tokens, length in EXAMPLES],
        "loss": whole.item(),
        "losses": [loss(model, [i]).item() for i in range(len(EXAMPLES))],
        "gradients_every_16th": {
            name: parameters[transformers_name(name)].grad[::16, ::16].tolist() for name in names
        },
    }  # fmt: skip
    OUTPUT.parent.mkdir(parents=True, exist_ok=True)
    OUTPUT.write_text(json.dumps(result) + "\n")
    print(f"{OUTPUT.stat().st_size} bytes  {OUTPUT}")


if __name__ == "__main__":
    main()
