"""Write a model as a folder of transformers.

`WhisperForConditionalGeneration` and `WhisperProcessor` open it, and the converters of CTranslate2 (faster-whisper) and
whisper.cpp start from it.
"""

from os import PathLike
from typing import Any

from mlx_whisper_lora.whisper.atomic_files import atomic_write, output_folder
from mlx_whisper_lora.whisper.audio.constants import CHUNK_LENGTH, HOP_LENGTH, SAMPLE_RATE
from mlx_whisper_lora.whisper.checkpoints.config import hf_dimensions, mel_settings
from mlx_whisper_lora.whisper.checkpoints.files import write_json, write_weights
from mlx_whisper_lora.whisper.checkpoints.hf_names import hf_weights
from mlx_whisper_lora.whisper.checkpoints.hf_tokenizer import tokenizer_files
from mlx_whisper_lora.whisper.checkpoints.layout import (
    CONFIG_FILE,
    GENERATION_CONFIG_FILE,
    HF_WEIGHT_FILE,
    PREPROCESSOR_FILE,
)
from mlx_whisper_lora.whisper.model.whisper import Whisper
from mlx_whisper_lora.whisper.text.tokenizer import NON_SPEECH, SECONDS_PER_TIMESTAMP, TASKS, Tokenizer

_MAX_INITIAL_TIMESTAMP = 1.0  # seconds; the default of our decoding


def save_hf_model(model: Whisper, folder: str | PathLike) -> None:
    """Write a model as a folder of transformers, in the type of its weights.

    The folder is written atomically.

    Args:
        model: a model with plain weights.
        folder: the folder. Files of the same names in it are replaced.

    Raises:
        CheckpointError: the vocabulary is not one of Whisper's.
        OSError: the folder cannot be written, or the disk is full.
    """
    tokenizer = model.tokenizer()
    with output_folder(folder, last=CONFIG_FILE) as path:
        write_weights(path / HF_WEIGHT_FILE, hf_weights(model), "pt")
        for name, contents in tokenizer_files(tokenizer).items():
            if isinstance(contents, str):
                with atomic_write(path / name) as file:
                    file.write(contents)
            else:
                write_json(path / name, contents)
        write_json(path / PREPROCESSOR_FILE, preprocessor_config(model))
        write_json(path / GENERATION_CONFIG_FILE, generation_config(model, tokenizer))
        write_json(path / CONFIG_FILE, model_config(model, tokenizer))


def model_config(model: Whisper, tokenizer: Tokenizer) -> dict[str, Any]:
    """Return the contents of config.json.

    CTranslate2 and whisper.cpp read the tokens and the length here. transformers reads them in generation_config.json.
    """
    width = model.dims.n_audio_state
    return {
        "model_type": "whisper",
        "architectures": ["WhisperForConditionalGeneration"],
        "torch_dtype": str(model.dtype).removeprefix("mlx.core."),
        **hf_dimensions(model.dims),
        "encoder_ffn_dim": 4 * width,
        "decoder_ffn_dim": 4 * width,
        "activation_function": "gelu",
        "scale_embedding": False,
        "is_encoder_decoder": True,
        "max_length": model.dims.n_text_ctx,
        **token_roles(tokenizer),
    }


def generation_config(model: Whisper, tokenizer: Tokenizer) -> dict[str, Any]:
    """Return the contents of generation_config.json: the meaning of tokens, for `generate` and its timestamps."""
    config = {
        **token_roles(tokenizer),
        "max_length": model.dims.n_text_ctx,
        "is_multilingual": model.is_multilingual,
        "no_timestamps_token_id": tokenizer.no_timestamps,
        "prev_sot_token_id": tokenizer.sot_prev,
        "max_initial_timestamp_index": round(_MAX_INITIAL_TIMESTAMP / SECONDS_PER_TIMESTAMP),
        "return_timestamps": False,
    }
    if model.is_multilingual:
        if model.default_language is not None:
            config["language"] = f"<|{model.default_language}|>"
        codes = zip(tokenizer.all_language_codes, tokenizer.all_language_tokens, strict=True)
        config["lang_to_id"] = {f"<|{code}|>": token for code, token in codes}
        config["task_to_id"] = {task: tokenizer.special(task) for task in TASKS}
    if model.alignment_heads is not None:
        config["alignment_heads"] = model.alignment_heads
    if model.audio_context != CHUNK_LENGTH:
        config["audio_context"] = model.audio_context  # ours: transformers keeps it and has no use for it
    return config


def token_roles(tokenizer: Tokenizer) -> dict[str, Any]:
    """Return the tokens that start and end a transcript, and those that are suppressed at its start or anywhere."""
    return {
        "decoder_start_token_id": tokenizer.sot,
        **{f"{role}_token_id": tokenizer.eot for role in ("bos", "eos", "pad")},
        "begin_suppress_tokens": list(tokenizer.blank_tokens),
        "suppress_tokens": sorted(tokenizer.suppressed_tokens([NON_SPEECH], tokenizer.encoding.n_vocab)),
    }


def preprocessor_config(model: Whisper) -> dict[str, Any]:
    """Return the contents of preprocessor_config.json: the settings of the log-mel front end."""
    return {
        "feature_extractor_type": "WhisperFeatureExtractor",
        "processor_class": "WhisperProcessor",
        **mel_settings(model.dims),
        "chunk_length": CHUNK_LENGTH,
        "n_samples": CHUNK_LENGTH * SAMPLE_RATE,
        "nb_max_frames": CHUNK_LENGTH * SAMPLE_RATE // HOP_LENGTH,
        "padding_side": "right",
        "padding_value": 0.0,
        "return_attention_mask": False,
    }
