"""The command line of `transcribe`."""

import argparse
import sys
import warnings
from collections.abc import Sequence
from dataclasses import dataclass, fields
from pathlib import Path
from typing import Any

from mlx_whisper_lora.adapters.adapter_file import Adapter
from mlx_whisper_lora.adapters.open import ADAPTER_HELP, open_adapter
from mlx_whisper_lora.adapters.strength import MOST_STRENGTH, STRENGTH_HELP
from mlx_whisper_lora.cli.options import CommandParser, add_options, from_args
from mlx_whisper_lora.whisper.checkpoints.hub import MODEL_HELP
from mlx_whisper_lora.whisper.devices import note_device
from mlx_whisper_lora.whisper.option import OptionError, check_ranges, documented, option
from mlx_whisper_lora.whisper.text.languages import language_code, language_list
from mlx_whisper_lora.whisper.text.tokenizer import TASKS
from mlx_whisper_lora.whisper.transcription.options import TranscriptionOptions
from mlx_whisper_lora.whisper.transcription.writers import OUTPUT_FORMATS, SubtitleLayout

PROGRAM = "mlx_whisper_lora.transcribe"
DESCRIPTION = """\
Transcribe audio files with a Whisper model and, if given, a trained adapter.
Options have the names of mlx_whisper. The spelling of openai-whisper, such as --output_dir, works too.
"""
EXAMPLES = """\
examples:
  the bundled demo recording with the bundled demo model
    python -m mlx_whisper_lora.transcribe

  a recording with an adapter, on the model that the adapter was trained on and in its language
    python -m mlx_whisper_lora.transcribe --adapter-file adapters.npz --audio interview.wav

  a recording in Telugu with a model from the Hugging Face Hub
    python -m mlx_whisper_lora.transcribe --model mlx-community/whisper-small-mlx --language te --audio interview.wav

  subtitles for every recording of a folder, in a folder of their own
    python -m mlx_whisper_lora.transcribe --audio talks/*.mp3 --output-format srt --output-dir subtitles

  the output of another program; the transcript is called content.txt
    curl https://example.org/talk.mp3 | python -m mlx_whisper_lora.transcribe --audio -

  an English translation, without the live transcript
    python -m mlx_whisper_lora.transcribe --audio x.flac --task translate --verbose False

  subtitles of two short lines, in which each word is underlined while it is spoken
    python -m mlx_whisper_lora.transcribe --audio talk.wav --output-format srt --word-timestamps True \\
        --highlight-words True --max-line-width 32 --max-line-count 2

  short recordings, fast: the model computes as many seconds as each has, and not 30
    python -m mlx_whisper_lora.transcribe --audio-context auto --audio "messages/*.ogg"

  a long recording, eight windows at a time
    python -m mlx_whisper_lora.transcribe --audio lecture.mp3 --batch-size 8

  all recordings again, but for those that were transcribed before
    python -m mlx_whisper_lora.transcribe --audio talks/*.mp3 --output-dir transcripts --skip-existing

  the adapter of its dialect for each recording
    python -m mlx_whisper_lora.transcribe --audio "talks/*.mp3" --route dialects.npz \\
        --route-adapter EGY=egyptian.npz --route-adapter GLF=gulf.npz

  a list of suppressed tokens that starts with a minus sign
    python -m mlx_whisper_lora.transcribe --suppress-tokens=-1,220

If a recording fails, one line reports it, the others are still transcribed, the last lines list the failures, and the
exit code is 1. After Control-C, the part of a recording that is done is in x.partial.txt, and the same command with
--skip-existing continues with the recordings that are not done.
"""


def _file_name(text: str) -> str:
    if text in ("", ".", "..") or Path(text).name != text:
        raise ValueError(f"expected a file name without folders, got {text!r}; give the folder as --output-dir")
    return text


@documented
@dataclass(frozen=True)
class CommandOptions:
    """Options that only the command has, or whose default differs from the library's."""

    model: str | None = option(
        None,
        f"Model: {MODEL_HELP}.",
        shown_default="the base of the adapter, or else base; demo, the bundled model, for the bundled recording",
    )
    adapter_file: str | None = option(
        None,
        f"Adapter that was trained on this model: {ADAPTER_HELP}.",
        metavar="ADAPTER",
        shown_default="no adapter",
    )
    route: str | None = option(
        None,
        "Classifier, as `classify` trains it, that chooses the adapter of each recording.",
        metavar="CLASSIFIER",
        shown_default="no classifier",
    )
    route_adapter: Sequence[str] = option(
        (),
        "With --route: the adapter for recordings of a class, such as EGY=egyptian.npz. It is given once for each. "
        "Recordings of other classes are transcribed with --adapter-file, or with the base.",
        metavar="CLASS=ADAPTER",
        repeats=True,
        shown_default="none",
    )
    adapter_strength: float = option(1.0, STRENGTH_HELP, minimum=0, maximum=MOST_STRENGTH)
    language: str | None = option(
        None,
        "Spoken language, as a code (te) or a name (telugu). For one that neither Whisper nor the adapter knows, its "
        "nearest relative is taken.",
        parse=language_code,
        shown_default="that of the adapter or of the fused model, or else detected in the first 30 s",
    )
    task: str | None = option(
        None,
        "Write the transcript in the language spoken, or translate it to English.",
        choices=TASKS,
        shown_default="that of the adapter, or else transcribe",
    )
    output_dir: str = option(
        ".",
        "Folder for the transcripts. It is created if it does not exist.",
        short="-o",
        metavar="FOLDER",
        shown_default="the current folder",
    )
    output_name: str | None = option(
        None,
        "Name of the transcripts, without suffix.",
        metavar="NAME",
        parse=_file_name,
        shown_default="that of the recording",
    )
    output_format: str = option("txt", "Format of the transcripts.", short="-f", choices=OUTPUT_FORMATS)
    skip_existing: bool = option(False, "Skip recordings whose transcripts exist.")
    verbose: bool = option(True, "True prints each segment as it is found, False shows a progress bar.")
    device: str | None = option(None, "No effect: MLX computes on the GPU if there is one, and else on the CPU.")
    threads: int | None = option(None, "No effect: OPENBLAS_NUM_THREADS limits the threads on a Linux CPU.", minimum=0)
    model_dir: str | None = option(
        None,
        "Folder of models that openai-whisper has downloaded. Other models come from the Hub; HF_HOME is their folder.",
        metavar="FOLDER",
    )

    def __post_init__(self):
        check_ranges(self)
        if self.adapter_strength != 1 and (self.route or not self.adapter_file):
            raise OptionError("`adapter_strength` requires `adapter_file`, and no `route`")
        if bool(self.route) != bool(self.route_adapter):
            raise OptionError(
                "`route` and `route_adapter` require each other: a classifier, and an adapter for a class"
            )


@documented
@dataclass(frozen=True)
class TemperatureOptions:
    """Temperatures as flags."""

    temperature: float = option(
        0.0,
        "0 takes the most likely token at every step, above 0 tokens are sampled. A window that fails a threshold is "
        "decoded again at higher temperatures.",
        minimum=0,
        maximum=100,
        metavar="T",
    )
    temperature_increment_on_fallback: float | None = option(
        0.2,
        "How much higher the next temperature is, up to 1. With None, windows are decoded once, and the transcript "
        "stands even if it fails.",
        minimum=0.01,
        metavar="T",
    )
    best_of: int | None = option(
        5,
        "Number of sequences to sample at a temperature above 0. The most likely one is kept.",
        minimum=1,
        maximum=100,
    )

    def __post_init__(self):
        check_ranges(self)

    def temperatures(self) -> list[float]:
        """Return the first temperature, and the higher ones up to 1 to fall back on."""
        if self.temperature_increment_on_fallback is None:
            return [self.temperature]
        n_steps = max(int((1.0 - self.temperature) / self.temperature_increment_on_fallback + 1e-6), 0)
        return [round(self.temperature + i * self.temperature_increment_on_fallback, 6) for i in range(n_steps + 1)]


def build_parser() -> CommandParser:
    parser = CommandParser(PROGRAM, DESCRIPTION, f"{EXAMPLES}\nlanguages, for --language:\n{language_list()}\n")

    source = parser.add_argument_group("recordings and model")
    source.add_argument("recordings", nargs="*", metavar="AUDIO", help="The same as --audio AUDIO ...")
    source.add_argument(
        "--audio",
        nargs="+",
        action="extend",
        default=[],
        metavar="FILE",
        help="Audio files, patterns such as 'clips/*.wav', or - for standard input. WAV, FLAC, OGG, Opus, MP3 and AIFF "
        "are read directly; M4A, MP4, WebM and others require ffmpeg. Default: the bundled demo recording.",
    )
    routed = ("route", "route_adapter")
    add_options(source, CommandOptions, only=("model", "adapter_file", *routed, "adapter_strength", "language", "task"))

    output = parser.add_argument_group("output")
    add_options(output, CommandOptions, only=("output_dir", "output_name", "output_format", "skip_existing", "verbose"))

    words = parser.add_argument_group(
        "words and subtitles", "The layout of subtitles requires --word-timestamps True and --output-format srt or vtt."
    )
    punctuation = ("prepend_punctuations", "append_punctuations")
    add_options(words, TranscriptionOptions, only=("word_timestamps", *punctuation))
    add_options(words, SubtitleLayout)

    long_form = parser.add_argument_group("long recordings")
    add_long_form_options(long_form)
    add_options(long_form, TranscriptionOptions, only=("clip_timestamps", "hallucination_silence_threshold"))

    decoding = parser.add_argument_group("decoding")
    add_decoding_options(decoding)
    add_options(decoding, TranscriptionOptions, only=("audio_context", "fp16"))

    old = parser.add_argument_group("flags of openai-whisper's command")
    add_options(old, CommandOptions, only=("model_dir", "device", "threads"))
    return parser


def add_long_form_options(group: argparse._ActionsContainer) -> None:
    """Add the flags that decide what a window knows of the text before it, for every command with long recordings."""
    context = ("initial_prompt", "carry_initial_prompt", "condition_on_previous_text")
    add_options(group, TranscriptionOptions, only=(*context, "batch_size", "vad"))


def add_decoding_options(group: argparse._ActionsContainer) -> None:
    """Add the flags that decide how a window is decoded, for every command that transcribes."""
    search = ("beam_size", "patience", "length_penalty", "sample_len", "suppress_tokens", "without_timestamps")
    thresholds = ("compression_ratio_threshold", "logprob_threshold", "no_speech_threshold")
    add_options(group, TemperatureOptions)
    add_options(group, TranscriptionOptions, only=(*search, *thresholds))


def note_old_flags(command: CommandOptions) -> None:
    """Warn about flags of openai-whisper's command that have no effect."""
    note_device(command.device)
    if command.threads:
        warnings.warn("`threads` has no effect: OPENBLAS_NUM_THREADS limits the threads on a Linux CPU", stacklevel=2)


def open_given_adapter(
    command: CommandOptions, args: argparse.Namespace
) -> tuple[Adapter | None, TranscriptionOptions]:
    """Open the adapter of a command line, if it has one, and return the options with its language and task.

    Raises:
        AdapterError, CheckpointError: the adapter cannot be read, or downloaded.
        OptionError: as `transcription_options` raises it.
    """
    adapter = open_adapter(command.adapter_file) if command.adapter_file else None
    language, task = (adapter.config.language, adapter.config.task) if adapter else (None, "transcribe")
    return adapter, transcription_options(args, language=command.language or language, task=command.task or task)


def transcription_options(args: argparse.Namespace, **others: Any) -> TranscriptionOptions:
    """Return the options of a command line.

    Args:
        args: the parsed command line.
        others: fields that are not taken from the flags.

    Raises:
        OptionError: a value is out of range, or values exclude each other.
    """
    temperatures = from_args(TemperatureOptions, args)
    given = {"temperature": temperatures.temperatures(), "best_of": temperatures.best_of}
    return from_args(TranscriptionOptions, args, **(given | others))


def subtitle_layout(args: argparse.Namespace, options: TranscriptionOptions) -> SubtitleLayout:
    """Return the layout of subtitles of the command line. Print a note about limits without effect.

    Raises:
        OptionError: a value is out of range, or requires words that `options` do not ask for.
    """
    layout = from_args(SubtitleLayout, args)
    for each in fields(layout):
        if getattr(layout, each.name) and not options.word_timestamps:
            raise OptionError(f"`{each.name}` requires `word_timestamps` True")
    if layout.max_line_count and not layout.max_line_width:
        print("Note: --max-line-count has no effect without --max-line-width", file=sys.stderr)
    if layout.max_words_per_line and layout.max_line_width:
        print("Note: --max-words-per-line has no effect with --max-line-width", file=sys.stderr)
    return layout
