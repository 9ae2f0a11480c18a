"""Make the checkpoint files that the tests load: as torch, openai-whisper and transformers write them.

    python -m tools.references.make_checkpoints

Needs the packages that `make parity` installs. Writes tests/whisper/reference/checkpoints/. One very small model (8
wide) with the seeded weights of tools/references/seeded.py: openai-whisper's state saved by torch in three types and in
torch's old format, transformers' folders in one file and in several, with weights by safetensors and by torch, and the
logits that openai-whisper computes from log-mels of ones.
"""

import json
import shutil
from pathlib import Path

import numpy as np
import torch
import whisper
from transformers import WhisperConfig, WhisperForConditionalGeneration

from tools.references.make_loss import load_openai_weights
from tools.references.seeded import parameter_shapes

ROOT = Path(__file__).parents[2]
OUTPUT = ROOT / "tests" / "whisper" / "reference" / "checkpoints"
DIMS = {
    "n_mels": 4,
    "n_audio_ctx": 10,
    "n_audio_state": 8,
    "n_audio_head": 2,
    "n_audio_layer": 1,
    "n_vocab": 40,
    "n_text_ctx": 12,
    "n_text_state": 8,
    "n_text_head": 2,
    "n_text_layer": 2,
}
TOKENS = [1, 5, 39, 7]
ALIGNMENT_HEADS = [[0, 1], [1, 0]]


def openai_model() -> whisper.Whisper:
    random = np.random.default_rng(0)
    weights = {
        name: torch.from_numpy(random.standard_normal(shape, dtype=np.float32))
        for name, shape in sorted(parameter_shapes(DIMS).items())
    }
    model = whisper.Whisper(whisper.ModelDimensions(**DIMS)).eval()
    missing, unexpected = model.load_state_dict(weights, strict=False)
    assert not unexpected and set(missing) == {"encoder.positional_embedding"}
    return model


def transformers_model(state: dict[str, torch.Tensor]) -> WhisperForConditionalGeneration:
    config = WhisperConfig(
        vocab_size=DIMS["n_vocab"],
        num_mel_bins=DIMS["n_mels"],
        d_model=DIMS["n_audio_state"],
        encoder_layers=DIMS["n_audio_layer"],
        encoder_attention_heads=DIMS["n_audio_head"],
        decoder_layers=DIMS["n_text_layer"],
        decoder_attention_heads=DIMS["n_text_head"],
        encoder_ffn_dim=4 * DIMS["n_audio_state"],
        decoder_ffn_dim=4 * DIMS["n_audio_state"],
        max_source_positions=DIMS["n_audio_ctx"],
        max_target_positions=DIMS["n_text_ctx"],
        pad_token_id=0,
        bos_token_id=0,
        eos_token_id=0,
        decoder_start_token_id=1,
        begin_suppress_tokens=None,
    )
    model = WhisperForConditionalGeneration(config).eval()
    load_openai_weights(model, {name: array for name, array in state.items() if "encoder.pos" not in name})
    model.generation_config.alignment_heads = ALIGNMENT_HEADS
    return model


def save_as_torch(model: WhisperForConditionalGeneration, name: str, shards: int) -> None:
    """Write a folder as transformers did before safetensors. `save_pretrained` does not write it any more."""
    folder = OUTPUT / name
    shutil.copytree(OUTPUT / "transformers", folder, ignore=shutil.ignore_patterns("*.safetensors"))
    state = model.state_dict()  # with proj_out, which is the token embedding
    if shards == 1:
        torch.save(state, folder / "pytorch_model.bin")
        return
    weight_map = {key: f"pytorch_model-{i % shards + 1:05}-of-{shards:05}.bin" for i, key in enumerate(state)}
    for file in set(weight_map.values()):
        torch.save({key: array for key, array in state.items() if weight_map[key] == file}, folder / file)
    index = {"metadata": {}, "weight_map": weight_map}
    (folder / "pytorch_model.bin.index.json").write_text(json.dumps(index) + "\n")


@torch.no_grad()
def main() -> None:
    torch.set_num_threads(1)
    shutil.rmtree(OUTPUT, ignore_errors=True)
    OUTPUT.mkdir(parents=True)
    model = openai_model()
    state = model.state_dict()
    logits = model(torch.ones(1, DIMS["n_mels"], 2 * DIMS["n_audio_ctx"]), torch.tensor([TOKENS]))
    for name in ("float32", "float16", "bfloat16"):
        cast = {key: array.to(getattr(torch, name)) for key, array in state.items()}
        torch.save({"dims": DIMS, "model_state_dict": cast}, OUTPUT / f"{name}.pt")
    # A fine-tuning script may save torch's own dict, a view of a larger tensor, a transposed one, or integers.
    name = "decoder.blocks.0.mlp.0.weight"
    state["decoder.positional_embedding"] = torch.cat([torch.zeros(3, 8), state["decoder.positional_embedding"]])[3:]
    state[name] = state[name].T.contiguous().T
    torch.save({"dims": DIMS, "model_state_dict": state, "steps": torch.arange(3)}, OUTPUT / "views.pt")
    # Or parameters in float64, of which one has an attribute, and beside them tensors of integers.
    state = {name: torch.nn.Parameter(array.double()) for name, array in model.state_dict().items()}
    state["decoder.ln.weight"].note = "an attribute"
    for dtype in (torch.int64, torch.int32, torch.int16, torch.int8, torch.uint8, torch.bool):
        state[f"counter_{dtype}"] = torch.ones(2, dtype=dtype)
    torch.save({"dims": DIMS, "model_state_dict": state}, OUTPUT / "parameters.pt")
    torch.save({"dims": DIMS}, OUTPUT / "old_format.pt", _use_new_zipfile_serialization=False)
    ours = transformers_model(model.state_dict())
    ours.save_pretrained(OUTPUT / "transformers")
    ours.save_pretrained(OUTPUT / "transformers_sharded", max_shard_size="8KB")
    save_as_torch(ours, "transformers_torch", shards=1)
    save_as_torch(ours, "transformers_torch_sharded", shards=2)
    ours.double().save_pretrained(OUTPUT / "transformers_float64")
    reference = {"dims": DIMS, "tokens": TOKENS, "logits": logits[0].tolist(), "alignment_heads": ALIGNMENT_HEADS}
    (OUTPUT / "reference.json").write_text(json.dumps(reference) + "\n")
    for path in sorted(path for path in OUTPUT.rglob("*") if path.is_file()):
        print(f"{path.stat().st_size:8d} bytes  {path.relative_to(ROOT)}")


if __name__ == "__main__":
    main()
