"""Fine-tune a model with LoRA: adapters in, training, evaluation on a schedule, adapter files out."""

import errno
import os
from collections.abc import Callable, Sequence
from os import PathLike
from pathlib import Path

import mlx.core as mx
from tqdm import tqdm

from mlx_whisper_lora.adapters.adapter_file import AdapterConfig, Base, load_adapter, save_adapter
from mlx_whisper_lora.adapters.inject import LoRAConfig, add_lora, describe_trainable_parameters, freeze_base
from mlx_whisper_lora.data.dataset import Example
from mlx_whisper_lora.training.evaluation import Evaluation, evaluate
from mlx_whisper_lora.training.loop import train
from mlx_whisper_lora.training.options import TrainingOptions
from mlx_whisper_lora.whisper.model.whisper import Whisper


def last_adapter_file(adapter_file: str | PathLike) -> Path:
    """Where the newest adapter is kept, beside the best one: adapters.npz -> adapters_last.npz."""
    path = Path(adapter_file)
    return path.with_name(f"{path.stem}_last{path.suffix}")


def check_writable(path: str | PathLike) -> None:
    """Raise OSError, naming `path`, unless a file can be written there."""
    path = Path(path)
    if path.is_dir():
        raise IsADirectoryError(errno.EISDIR, "this is a folder, not a file name", str(path))
    if not path.absolute().parent.is_dir():
        raise FileNotFoundError(errno.ENOENT, "the folder for this file does not exist", str(path))
    if not os.access(path.absolute().parent, os.W_OK):
        raise PermissionError(errno.EACCES, "its folder cannot be written", str(path))


def finetune(
    model: Whisper,
    base_name: str,
    train_set: Sequence[Example],
    valid_set: Sequence[Example],
    args: TrainingOptions,
    lora: LoRAConfig,
    adapter_file: str | PathLike,
    language: str | None = None,
    task: str = "transcribe",
    resume_adapter_file: str | PathLike | None = None,
    print_line: Callable[[str], None] = tqdm.write,
) -> None:
    """Train LoRA adapters for the plain `model`, which was loaded as `base_name`; leaves the last ones in it.

    At every evaluation the newest adapter goes to `last_adapter_file(adapter_file)`, and to `adapter_file` too if its
    WER on `valid_set` is the lowest so far (at equal WER, its loss); without clips to validate on, always. Interrupted
    by Control-C it saves the newest and lets KeyboardInterrupt go on.
    Resuming takes the old adapter's own settings, and the old adapter is the first to be the best.
    Raises AdapterError, or OSError when saving fails; a place that cannot be written is told before training.
    """
    check_writable(adapter_file)
    mx.random.seed(args.seed)
    base = Base.of(model, base_name)
    if resume_adapter_file is None:
        add_lora(model, lora)
    else:
        lora = load_adapter(model, resume_adapter_file, base_name).lora
        print_line(f"Resuming from {resume_adapter_file}: rank {lora.rank}, layers {lora.layers}, "
                   f"targets {', '.join(lora.targets)}")  # fmt: skip
    freeze_base(model)
    print_line(describe_trainable_parameters(model))
    config = AdapterConfig(lora, language, task, args.audio_context, base)
    best = (float("inf"), float("inf"))

    def measure(iteration: int) -> Evaluation:
        result = evaluate(model, valid_set, args.batch_size, task, args.audio_context, "Validating")
        print_line(f"Iter {iteration}: Val loss {result.loss:.3f}, WER {result.wer:.2f} %, CER {result.cer:.2f} %")
        return result

    def evaluate_and_save(iteration: int) -> None:
        nonlocal best
        score = best
        if valid_set:
            result = measure(iteration)
            score = (result.wer, result.loss)
        save_adapter(last_adapter_file(adapter_file), model, config)
        if score < best or not valid_set:
            best = score
            save_adapter(adapter_file, model, config)
            remark = " (the best so far)" if valid_set else ""
            print_line(f"Iter {iteration}: Saved adapter to {adapter_file}{remark}")

    if valid_set and resume_adapter_file is not None:
        evaluate_and_save(0)
    elif valid_set:
        measure(0)
    try:
        train(model, train_set, args, evaluate_and_save, print_line)
    except KeyboardInterrupt:
        save_adapter(last_adapter_file(adapter_file), model, config)
        print_line(f"Interrupted: saved the newest adapter to {last_adapter_file(adapter_file)}")
        raise
