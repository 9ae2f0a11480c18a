"""Train LoRA adapters for Whisper on clips with texts, and test them."""

import argparse
import os
import sys
from dataclasses import fields
from pathlib import Path
from typing import NoReturn

import mlx.core as mx

from mlx_whisper_lora.adapters.adapter_file import load_adapter, read_adapter_config
from mlx_whisper_lora.adapters.inject import DEFAULT_TARGETS, TARGETS, LoRAConfig
from mlx_whisper_lora.cli.run import run_command
from mlx_whisper_lora.data.clip import Clip, DataError
from mlx_whisper_lora.data.dataset import Example, build_examples
from mlx_whisper_lora.data.sources import load_clips
from mlx_whisper_lora.training.evaluation import Evaluation, evaluate
from mlx_whisper_lora.training.finetune import finetune
from mlx_whisper_lora.training.options import TrainingOptions
from mlx_whisper_lora.whisper.assets import DEMO_CLIPS
from mlx_whisper_lora.whisper.audio.constants import CHUNK_LENGTH
from mlx_whisper_lora.whisper.checkpoints.hub import DEMO, MODEL_HELP
from mlx_whisper_lora.whisper.checkpoints.load import load_model
from mlx_whisper_lora.whisper.model.whisper import Whisper
from mlx_whisper_lora.whisper.text.normalizers import NORMALIZERS
from mlx_whisper_lora.whisper.text.tokenizer import TASKS, language_code

ADAPTER_FILE = "adapters.npz"
DEFAULT_NORMALIZER = "unicode"
DESCRIPTION = """\
Train LoRA adapters for a Whisper model on clips with their texts (--train), and test them (--test).

The data folder (--data) holds recordings and either
  train.jsonl, valid.jsonl, test.jsonl   lines such as {"audio": "clips/1.wav", "text": "good morning"}
  metadata.jsonl or metadata.csv         with the columns file_name and text (or sentence, transcription);
                                         a column named split, or subfolders train/, validation/ and test/ with a
                                         table each, say which clips are for what. Without either, a tenth of the
                                         clips is kept for validation and a tenth for the test.
Recordings are of any kind that libsndfile reads (WAV, FLAC, OGG, Opus, MP3), of any rate, and up to 30 s long.
"""
EXAMPLES = """\
examples:
  try it: the bundled demo model learns a voice that it does not understand
    python -m mlx_whisper_lora.lora --train --lora-layers 4

  40 clips of Telugu, all blocks, more of each block than the default
    python -m mlx_whisper_lora.lora --train --model mlx-community/whisper-small-mlx --data telugu --language te \\
        --lora-layers -1 --lora-targets attn.query,attn.value,cross_attn.query,cross_attn.value

  how good is the adapter on clips that it was not trained on? And how good was the model without it?
    python -m mlx_whisper_lora.lora --test --adapter-file adapters.npz --data telugu
    python -m mlx_whisper_lora.lora --test --model mlx-community/whisper-small-mlx --data telugu --language te

  go on training
    python -m mlx_whisper_lora.lora --train --resume-adapter-file adapters_last.npz --data telugu --language te

Afterwards: python -m mlx_whisper_lora.fuse --adapter-file adapters.npz
"""


def build_parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="mlx_whisper_lora.lora",
        description=DESCRIPTION,
        epilog=EXAMPLES,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument("--train", action="store_true", help="Train adapters and save them.")
    parser.add_argument(
        "--test", action="store_true", help="Print loss, WER and CER on the test clips, in windows of 30 s."
    )
    parser.add_argument(
        "--model",
        help=f"The base: {MODEL_HELP}. Default: the one that a given adapter file names, else {DEMO!r}, the bundled "
        "model.",
    )
    parser.add_argument("--data", help="Folder of clips. Default: the bundled demo clips.")
    parser.add_argument(
        "--adapter-file",
        help=f"Where --train keeps the best adapter (default {ADAPTER_FILE}; the newest one goes to "
        f"adapters_last.npz); the adapter that --test tests (default without --train: none, the base is tested).",
    )
    parser.add_argument("--resume-adapter-file", help="Start from this adapter, with its rank, layers and targets.")
    parser.add_argument(
        "--language",
        help="Language of the clips, as 'te' or 'telugu'. Default: the data's 'language' column, else that of a given "
        "adapter.",
    )
    parser.add_argument(
        "--task", choices=TASKS, help="What the texts are. Default: that of a given adapter, else transcribe."
    )
    parser.add_argument(
        "--normalizer",
        choices=NORMALIZERS,
        help="How --test makes texts alike before it counts errors. unicode: case and punctuation are no errors, in "
        "any language. english, basic: openai-whisper's for English and for other languages, to compare with published "
        "numbers; basic cuts words at vowel signs, as in Telugu, Hindi or Arabic. "
        f"Default: {DEFAULT_NORMALIZER}.",
    )

    group = parser.add_argument_group("adapters")
    group.add_argument(
        "--lora-layers", type=int, default=4, help="Last N blocks of encoder and of decoder; -1: all. Default: 4."
    )
    group.add_argument(
        "--lora-targets",
        type=lambda text: tuple(part.strip() for part in text.split(",")),
        default=DEFAULT_TARGETS,
        help=f"Layers of a block, separated by commas, out of {', '.join(TARGETS)}. "
        f"Default: {','.join(DEFAULT_TARGETS)}.",
    )
    group.add_argument("--lora-rank", type=int, default=LoRAConfig.rank, help="Rank. Default: %(default)s.")
    group.add_argument(
        "--lora-scale", type=float, default=LoRAConfig.scale, help="Scale (alpha / rank in PEFT). Default: %(default)s."
    )
    group.add_argument(
        "--lora-dropout", type=float, default=LoRAConfig.dropout, help="Dropout before A. Default: %(default)s."
    )

    group = parser.add_argument_group("training")
    for option in fields(TrainingOptions):
        flag = "--" + option.name.replace("_", "-")
        if option.name == "audio_context":
            group.add_argument(flag, type=float, help=f"{option.metadata['help']} Default: 30, as Whisper was trained, "
                               "and 0 for the demo model, which was trained on windows of all lengths.")  # fmt: skip
        else:
            group.add_argument(flag, type=type(option.default), default=option.default,
                               help=f"{option.metadata['help']} Default: {option.default}.")  # fmt: skip
    return parser


def main(args: argparse.Namespace) -> None:
    if not (args.train or args.test):
        raise ValueError("nothing to do: give --train, --test or both")
    if args.normalizer and not args.test:
        raise ValueError("--normalizer is for --test")
    normalizer = args.normalizer or DEFAULT_NORMALIZER
    adapter_file = args.adapter_file or (ADAPTER_FILE if args.train else "")
    given_adapter = args.resume_adapter_file if args.train else adapter_file
    adapter = read_adapter_config(given_adapter) if given_adapter else None
    base_name = args.model or (adapter.base.name if adapter else DEMO)
    task = args.task or (adapter.task if adapter else "transcribe")
    lora = LoRAConfig(args.lora_rank, args.lora_scale, args.lora_dropout, args.lora_layers, args.lora_targets)
    language = language_code(args.language) if args.language else None

    options = {option.name: getattr(args, option.name) for option in fields(TrainingOptions)}
    if args.audio_context is None:
        options["audio_context"] = 0.0 if base_name == DEMO else float(CHUNK_LENGTH)
    training = TrainingOptions(**options)

    print(f"Loading model {base_name}" + (" (bundled; --model gives another)" if base_name == DEMO else ""))
    model = load_model(base_name)
    if language:
        model.tokenizer(language, task)  # a language that the model lacks is told before clips are read
    folder = args.data or DEMO_CLIPS
    clips = load_clips(folder, args.seed)
    print(f"Clips in {folder}" + ("" if args.data else " (bundled; --data gives others)")
          + f": {len(clips['train'])} train, {len(clips['valid'])} valid, {len(clips['test'])} test")  # fmt: skip

    default = adapter.language if adapter else None
    longest = training.audio_context or CHUNK_LENGTH
    # What is wrong with the test clips should not come out after hours of training.
    test_set = examples(clips["test"], "test", model, language, task, default) if args.test else []
    if args.train:
        train_set = examples(clips["train"], "train", model, language, task, default, longest)
        valid = clips["valid"]
        valid_set = examples(valid, "valid", model, language, task, default, longest) if valid else []
        languages = {example.language for example in train_set}
        finetune(
            model, base_name, train_set, valid_set, training, lora, adapter_file,
            languages.pop() if len(languages) == 1 else None, task, args.resume_adapter_file,
        )  # fmt: skip
    if args.test and mx.distributed.init().rank() == 0:
        if args.train:  # the best adapter, not the last one, which is in the model now
            model = load_model(base_name)
        if adapter_file:
            load_adapter(model, adapter_file, base_name)
        print(f"Testing {adapter_file or 'the base model without an adapter'} on {len(test_set)} clips")
        result = evaluate(model, test_set, args.batch_size, task, normalizer=NORMALIZERS[normalizer])
        print(test_line(result, normalizer))


def examples(
    clips: list[Clip],
    split: str,
    model: Whisper,
    language: str | None,
    task: str,
    default_language: str | None,
    longest: float = CHUNK_LENGTH,
) -> list[Example]:
    """Build the examples of a split, and print a line if clips of over `longest` seconds are dropped.

    Raises DataError if none is left.
    """
    built = build_examples(clips, model, language, task, default_language=default_language, max_seconds=longest)
    if built.dropped:
        example = built.dropped[0].clip.name
        print(f"Left out {len(built.dropped)} {split} clips of over {longest:g} s, such as {example}")
    if not built.examples:
        raise DataError(f"there are no {split} clips" + (f" of up to {longest:g} s" if built.dropped else ""))
    return built.examples


def test_line(result: Evaluation, normalizer: str) -> str:
    line = f"Test loss {result.loss:.3f}, WER {result.wer:.2f} %, CER {result.cer:.2f} %"
    return line if normalizer == DEFAULT_NORMALIZER else f"{line} ({normalizer} normalizer)"


def cli() -> NoReturn:
    if mx.distributed.init().rank() > 0:
        sys.stdout = Path(os.devnull).open("w")  # noqa: SIM115 - of several processes, the first one speaks
    run_command(main, build_parser())


if __name__ == "__main__":
    cli()
