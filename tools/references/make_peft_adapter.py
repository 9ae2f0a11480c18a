"""Make LoRA and DoRA adapters with PEFT on the bundled demo model, and the logits that they give.

    python -m tools.references.make_peft_adapter

Needs torch, transformers and peft, which `make parity` installs. Writes a folder for each of CASES into
tests/adapters/reference/peft/, as PEFT saves it, and logits.npz: for each case and for the base, the logits after
PROMPT of a demo clip, and `tokens`, which they belong to: those that the demo model has learned. The adapters are in
bfloat16, in which PEFT computes on a GPU, so that the files are small.
"""

import shutil
import tempfile
from functools import partial
from pathlib import Path

import numpy as np
import torch
from peft import LoraConfig, get_peft_model
from transformers import WhisperForConditionalGeneration

from mlx_whisper_lora.data.sources import load_clips
from mlx_whisper_lora.whisper.assets import DEMO_CLIPS, DEMO_MODEL
from mlx_whisper_lora.whisper.audio.load import load_audio, pad_or_trim
from mlx_whisper_lora.whisper.audio.log_mel import log_mel_spectrogram
from mlx_whisper_lora.whisper.checkpoints.hf_export import save_hf_model
from mlx_whisper_lora.whisper.checkpoints.load import load_model

OUTPUT = Path(__file__).parents[2] / "tests" / "adapters" / "reference" / "peft"
PROMPT = [50258, 50259, 50359, 50363]
N_TOKENS = 400
CASES = {
    "query_value": LoraConfig(r=2, lora_alpha=6, lora_dropout=0.05, target_modules=["q_proj", "v_proj"]),
    # Some layers only, with their own ranks and scales.
    "patterns": LoraConfig(
        r=2,
        lora_alpha=4,
        use_rslora=True,
        target_modules=r".*(decoder\.layers\.0\.(encoder_attn\.k_proj|fc1)|layers\.1\.self_attn\.out_proj)",
        rank_pattern={"fc1": 3, r"decoder\.layers\.1\.self_attn\.out_proj": 1},
        alpha_pattern={"encoder_attn.k_proj": 9},
    ),
    "dora": LoraConfig(
        r=2,
        lora_alpha=4,
        use_dora=True,
        target_modules=r".*(decoder\.layers\.2\.(encoder_attn\.v_proj|fc2)|encoder\.layers\.1\.self_attn\.k_proj)",
        alpha_pattern={"fc2": 6},
    ),
}


def clip_frames() -> np.ndarray:
    """Return the log-mel frames (3000, 80) of the first demo clip."""
    clip = load_clips(DEMO_CLIPS)["test"][0]
    return np.array(log_mel_spectrogram(pad_or_trim(load_audio(clip.audio, start=clip.start, end=clip.end)), 80))


def adapted(base: WhisperForConditionalGeneration, config: LoraConfig) -> torch.nn.Module:
    """Return a model with an adapter as if it was trained."""
    torch.manual_seed(7)
    base.name_or_path = "someone/whisper-demo"
    model = get_peft_model(base, config).eval()
    with torch.no_grad():
        for name, parameter in model.named_parameters():
            if "lora_magnitude" in name:
                parameter.mul_(1 + 0.2 * torch.randn_like(parameter))
            elif "lora_" in name:
                torch.nn.init.normal_(parameter, std=0.1)
            if "lora_" in name:
                parameter.copy_(parameter.to(torch.bfloat16))
    return model


@torch.no_grad()
def logits(model: torch.nn.Module) -> np.ndarray:
    frames = torch.from_numpy(clip_frames()).T[None]
    return model(input_features=frames, decoder_input_ids=torch.tensor([PROMPT])).logits[0, -1].numpy()


def main() -> None:
    shutil.rmtree(OUTPUT, ignore_errors=True)
    OUTPUT.mkdir(parents=True)
    with tempfile.TemporaryDirectory() as folder:
        save_hf_model(load_model(DEMO_MODEL), folder)
        load = partial(WhisperForConditionalGeneration.from_pretrained, folder, dtype=torch.float32)
        arrays = {"base": logits(load())}
        for name, config in CASES.items():
            model = adapted(load(), config)
            arrays[name] = logits(model.base_model.model)
            halves = {key: value.to(torch.bfloat16) for key, value in model.state_dict().items() if "lora_" in key}
            model.save_pretrained(OUTPUT / name, state_dict=halves)
            (OUTPUT / name / "README.md").unlink()
    _, first, counts = np.unique(arrays["base"], return_index=True, return_counts=True)
    tokens = np.sort(first[counts == 1])[:N_TOKENS]  # the others share the logit of tokens that were never seen
    np.savez_compressed(OUTPUT / "logits.npz", tokens=tokens, **{name: each[tokens] for name, each in arrays.items()})
    for path in sorted(OUTPUT.rglob("*.*")):
        print(f"{path.stat().st_size} bytes  {path.relative_to(OUTPUT)}")


if __name__ == "__main__":
    main()
