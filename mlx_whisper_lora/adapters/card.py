"""The card of an adapter, or of a model that it was fused into, for a repository on the Hugging Face Hub."""

import json
from pathlib import Path

from mlx_whisper_lora.adapters.adapter_file import AdapterConfig
from mlx_whisper_lora.whisper.audio.context import AUTO
from mlx_whisper_lora.whisper.checkpoints.hub import original_repository
from mlx_whisper_lora.whisper.checkpoints.upload import license_of, upload_folder
from mlx_whisper_lora.whisper.text.languages import language_name

CARD_FILE = "README.md"
PEFT = "peft"
_LIBRARIES = {PEFT: "peft", "mlx": "mlx", "hf": "transformers", "ct2": "ctranslate2", "ggml": "whisper.cpp"}


def publish(folder: str, repository: str, config: AdapterConfig, layout: str) -> str:
    """Write a card into a folder, and upload the folder. Return the address of the repository.

    Args:
        folder: the folder, which `check_upload` has checked before it was written.
        repository: the repository, as "owner/name".
        config: the configuration of the adapter.
        layout: "peft" for the adapter itself, or the layout of the fused model, such as "mlx".

    Raises:
        CheckpointError: the upload failed.
        OSError: the card cannot be written.
    """
    base = _base_repository(config)
    card = make_card(repository, config, layout, license_of(base) if base else None)
    Path(folder, CARD_FILE).write_text(card, encoding="utf-8")
    return upload_folder(folder, repository)


def make_card(repository: str, config: AdapterConfig, layout: str, license: str | None) -> str:
    """Return the text of a card.

    Args:
        repository: the repository that the card is for, as "owner/name".
        config: the configuration of the adapter.
        layout: as for `publish`.
        license: the license of the base, if it is known.
    """
    base, name = _base_repository(config), _base_name(config)
    about = {
        "base_model": base,
        "base_model_relation": "adapter" if layout == PEFT else "finetune",
        "library_name": _LIBRARIES[layout],
        "license": license,
        "language": config.language,
        "pipeline_tag": "automatic-speech-recognition",
        "tags": ["whisper", "mlx", "mlx_whisper_lora", config.method],
    }
    header = [f"{key}: {json.dumps(value)}" for key, value in about.items() if value]
    linked = f"[{name}](https://huggingface.co/{base})" if base else name
    what = "An adapter for" if layout == PEFT else "A fine-tuned copy of"
    result = "English translations" if config.task == "translate" else "transcripts"
    of = f" of {language_name(config.language)}" if config.language else ""
    lines = [
        *("---", *header, "---", "", f"# {repository.split('/')[1]}", ""),
        f"{what} {linked} for {result}{of}.",
        *("", "## Use", "", *_usage(repository, config, layout), "", "## Training", "", *_training(config), ""),
        *_results(config),
        *("## License", ""),
        f"The base has the license {license}."
        if license
        else "The license of the base holds for what is made from it.",
    ]
    return "\n".join([*lines, ""])


def _base_repository(config: AdapterConfig) -> str | None:
    """Return the repository of the base in its first form, which transformers reads."""
    repository = config.base.repository
    return original_repository(repository.partition("@")[0]) if repository else None


def _base_name(config: AdapterConfig) -> str:
    """Return what to call the base, without the folders of the user."""
    return _base_repository(config) or Path(config.base.name).name or "Whisper"


def _usage(repository: str, config: AdapterConfig, layout: str) -> list[str]:
    base = config.base.repository or _base_name(config)
    command = "    python -m mlx_whisper_lora.transcribe --audio x.wav "
    if layout == PEFT:
        return [
            f"{command}--adapter-file {repository} --model {base}",
            "",
            "With transformers and PEFT:",
            "",
            f'    base = WhisperForConditionalGeneration.from_pretrained("{_base_name(config)}")',
            f'    model = PeftModel.from_pretrained(base, "{repository}")',
        ]
    if layout == "ggml":
        return ["With whisper.cpp:", "", "    whisper-cli -m ggml-model.bin x.wav"]
    others = {"hf": "transformers", "ct2": "faster-whisper", "mlx": "mlx-whisper"}
    return [f"{command}--model {repository}", "", f"{others[layout]} reads it too."]


def _training(config: AdapterConfig) -> list[str]:
    context = "the length of each clip" if config.audio_context == AUTO else f"{config.audio_context:g} s"
    rows = {
        "Method": f"{config.method}: {config.settings}",
        "Language": language_name(config.language) if config.language else "not stored, or several",
        "Task": config.task,
        "Audio in a window": context,
        "Clips": str(len(config.clips)) if config.clips else "not stored",
    }
    if record := config.record:
        rows["Clips"] += f", {record.minutes:g} minutes"
        rows["Data"] = ", ".join(record.data)
    return [f"- {name}: {value}" for name, value in rows.items()]


def _results(config: AdapterConfig) -> list[str]:
    """Return the section on how good the adapter is, if the run has measured it."""
    scores = config.record.scores if config.record else None
    if scores is None:
        return []
    (wer_low, wer_high), (cer_low, cer_high) = scores.wer_interval, scores.cer_interval
    return [
        *("## Results", ""),
        f"On {scores.clips} validation clips, by which it was chosen, with 95 % intervals over clips:",
        "",
        f"- WER {scores.wer:.2f} % ({wer_low:.2f} to {wer_high:.2f}); the base: {scores.base_wer:.2f} %",
        f"- CER {scores.cer:.2f} % ({cer_low:.2f} to {cer_high:.2f}); the base: {scores.base_cer:.2f} %",
        "",
    ]
