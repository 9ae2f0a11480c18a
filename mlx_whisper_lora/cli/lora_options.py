"""The command line of `lora`."""

import argparse
import shlex
import shutil
import sys
from dataclasses import dataclass, fields
from typing import Any

from mlx_whisper_lora.adapters.methods import DEFAULT_METHOD, METHODS
from mlx_whisper_lora.cli.options import CommandParser, add_options, from_args
from mlx_whisper_lora.cli.other_names import ELSEWHERE
from mlx_whisper_lora.cli.transcribe_options import add_decoding_options
from mlx_whisper_lora.data.augmentation.options import AugmentationOptions
from mlx_whisper_lora.data.sources.hf_options import HubDataOptions
from mlx_whisper_lora.data.sources.options import SourceOptions
from mlx_whisper_lora.training.options import TrainingOptions
from mlx_whisper_lora.training.reporting.reporters import REPORTERS
from mlx_whisper_lora.training.run_options import ADAPTER_FILE, RunOptions, options_file
from mlx_whisper_lora.training.run_state import state_file
from mlx_whisper_lora.training.trial_options import TrialOptions
from mlx_whisper_lora.training.trials import trials_folder
from mlx_whisper_lora.whisper.option import OptionError, check_ranges, documented, option
from mlx_whisper_lora.whisper.text.languages import language_list

PROGRAM = "mlx_whisper_lora.lora"
DESCRIPTION = """\
Train LoRA adapters for a Whisper model on clips with their texts (--train), and test them (--test).

The data folder (--data) has one of these layouts:
  metadata.csv, .tsv or .jsonl           with the columns file_name and text, or others of the usual names; else name
                                         them with --audio-column, --text-column, --language-column, --speaker-column
  train.jsonl, valid.jsonl, test.jsonl   lines such as {"audio": "clips/1.wav", "text": "good morning"}
  1.wav and 1.txt, and so on             recordings with their texts beside them
  talk.wav and talk.srt                  long recordings with .srt, .vtt, .TextGrid, labels of Audacity (.txt) or the
                                         .json of transcribe beside them: each segment becomes a clip
  Common Voice, Spontaneous Speech, LibriSpeech, LJSpeech, Kaldi, NeMo
                                         as they are released
  google/fleurs                          a Hugging Face data set, or a folder of one: of save_to_disk, or Parquet files
A column named split, or folders train/, validation/ (or dev/) and test/, also in data/, give the split of each clip.
Otherwise, a tenth of the clips is kept for validation and a tenth for the test; all clips of a person, if the speakers
are known, or else of a recording are in one split, if there are at least three. Columns start and end, in seconds, make
a clip of a stretch of a recording. Recordings may have any format that libsndfile reads (WAV, FLAC, OGG, Opus, MP3) and
any sample rate. A clip lasts up to 30 s.
--data may be given several times: with --data telugu:2 --data hindi, an epoch has each clip of telugu twice.
"""
EXAMPLES = """\
examples:
  try it: the bundled demo model learns a voice that it does not understand
    python -m mlx_whisper_lora.lora --train --lora-layers 4

  clips of Telugu, on a larger model than OpenAI's base, which is the default for clips of your own
    python -m mlx_whisper_lora.lora --train --model small --data telugu --language te

  a language that Whisper lacks, with a token of its own
    python -m mlx_whisper_lora.lora --train --model small --data divehi --new-language dv

  how good is the adapter on clips that it was not trained on, and how good was the model without it?
    python -m mlx_whisper_lora.lora --test --adapter-file adapters.npz --data telugu
    python -m mlx_whisper_lora.lora --test --model small --data telugu --language te

  another method: adapters of 64 dimensions in the encoder alone
    python -m mlx_whisper_lora.lora --train --fine-tune-type adapter --adapter-decoder-layers 0 --data telugu

  a hundred clips or fewer: measure on all of them, and look for better settings first
    python -m mlx_whisper_lora.lora --train --folds 5 --search 12 --search-minutes 60 --data few

  the same options each time, in a file that flags override: train: true, data: telugu, language: te, a line each
    python -m mlx_whisper_lora.lora -c telugu.yaml --iters 300

  go on with a run that was cut off, as if it had not been
    python -m mlx_whisper_lora.lora --resume

  train an adapter further, on other clips or with other options
    python -m mlx_whisper_lora.lora --train --resume-adapter-file adapters.npz --data more --adapter-file further.npz

Afterwards: python -m mlx_whisper_lora.fuse --adapter-file adapters.npz
"""


@documented
@dataclass(frozen=True)
class CommandOptions:
    """The tasks of the command."""

    train: bool = option(False, "Train an adapter and save it.")
    test: bool = option(False, "Print loss, WER and CER on the test clips, as `transcribe` transcribes them.")
    fine_tune_type: str | None = option(
        None,
        f"Method of training. {'; '.join(f'{name}: {method.about}' for name, method in METHODS.items())}.",
        choices=tuple(METHODS),
        shown_default=f"{DEFAULT_METHOD}, or that of the adapter to resume from",
    )
    report_to: tuple[str, ...] = option(
        ("jsonl",),
        f"Where the numbers of training go, separated by commas: {', '.join(REPORTERS)}. jsonl, a file beside the "
        "adapter such as adapters_metrics.jsonl, is always written. The others require the extras of their names.",
        metavar="NAMES",
    )

    def __post_init__(self):
        check_ranges(self)
        if not (self.train or self.test):
            raise OptionError("nothing to do: give `train`, `test` or both")
        if self.fine_tune_type and not self.train:
            raise OptionError("`fine_tune_type` requires `train`; a test takes that of its adapter")
        for name in self.report_to:
            if name not in REPORTERS:
                raise OptionError(f"`report_to` takes {', '.join(REPORTERS)}, got {name!r}")
        if self.report_to != ("jsonl",) and not self.train:
            raise OptionError("`report_to` is about training: give `train`")


def build_parser() -> CommandParser:
    """Build the parser. The flags of each method begin with its prefix: --lora-rank."""
    examples = f"{EXAMPLES}\nlanguages, for --language:\n{language_list()}\n"
    parser = CommandParser(PROGRAM, DESCRIPTION, examples, elsewhere=ELSEWHERE)
    parser.add_config_option(_options_of_resumed_run)
    add_options(parser, CommandOptions)
    add_options(parser.add_argument_group("base, clips and adapter"), RunOptions)
    add_options(parser.add_argument_group("reading of clips"), SourceOptions)
    add_options(parser.add_argument_group("Hugging Face data sets"), HubDataOptions)
    for prefix, names in _names_by_prefix().items():
        group = parser.add_argument_group(f"settings of --fine-tune-type {' and '.join(names)}")
        add_options(group, METHODS[names[0]].Config, prefix=prefix)
    add_options(parser.add_argument_group("training"), TrainingOptions)
    add_options(parser.add_argument_group("trials before training"), TrialOptions)
    add_options(parser.add_argument_group("augmentation of training clips"), AugmentationOptions)
    add_decoding_options(parser.add_argument_group("transcription of test clips, as by transcribe"))
    return parser


def _options_of_resumed_run(args: argparse.Namespace) -> str | None:
    """Return the file with the options of the run that --resume goes on with, if that is given."""
    return str(options_file(getattr(args, "adapter_file", ADAPTER_FILE))) if getattr(args, "resume", False) else None


def _names_by_prefix() -> dict[str, list[str]]:
    """Return the methods that have flags, by what these begin with."""
    names: dict[str, list[str]] = {}
    for name, method in METHODS.items():
        if method.prefix:
            names.setdefault(method.prefix, []).append(name)
    return names


def method_settings(args: argparse.Namespace, method: str | None, resumes: bool) -> Any:
    """Build the settings of a method from the command line.

    Args:
        args: the parsed command line.
        method: the name of the method, if one is given.
        resumes: whether training starts from an adapter.

    Returns:
        The configuration of the method. None if it is that of the adapter to resume from.

    Raises:
        OptionError: a value is out of range, or a flag of another method is given.
    """
    if method is None and resumes:
        return None
    name = method or DEFAULT_METHOD
    own = METHODS[name].prefix
    for prefix, names in _names_by_prefix().items():
        for each in fields(METHODS[names[0]].Config):
            if prefix != own and hasattr(args, prefix + each.name):
                raise OptionError(
                    f"`{prefix}{each.name}` is an option of `fine_tune_type` {' and '.join(names)}, not of {name}: "
                    "remove it, or choose another type"
                )
    return from_args(METHODS[name].Config, args, prefix=own)


def note_how_to_continue(error: BaseException, adapter_file: str, n_processes: int) -> None:
    """Add the command that goes on to the notes of an error that cut training short.

    Args:
        error: the error.
        adapter_file: the file for the adapter of the run. Without a state, or trials, beside it, there is nothing to go
            on from.
        n_processes: how many processes trained together.
    """
    begun = state_file(adapter_file).exists() or trials_folder(adapter_file).exists()
    if begun and not isinstance(error, FloatingPointError):
        where = f" in each of {n_processes} processes" if n_processes > 1 else ""
        error.__notes__ = [f"To continue{where}:", continuing_command(adapter_file)]  # type: ignore[attr-defined]


def continuing_command(adapter_file: str) -> str:
    """Return the command line that goes on with a run, quoted for a shell."""
    python = "python" if shutil.which("python") == sys.executable else sys.executable
    where = [] if adapter_file == ADAPTER_FILE else ["--adapter-file", adapter_file]
    return shlex.join([python, "-m", PROGRAM, "--resume", *where])
