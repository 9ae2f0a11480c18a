"""The command line of `lora`."""

from dataclasses import dataclass

from mlx_whisper_lora.cli.options import CommandParser, add_options
from mlx_whisper_lora.cli.other_names import ELSEWHERE
from mlx_whisper_lora.cli.training_command import TrainingCommand, add_method_options, options_of_resumed_run
from mlx_whisper_lora.cli.transcribe_options import add_decoding_options
from mlx_whisper_lora.data.augmentation.options import AugmentationOptions
from mlx_whisper_lora.data.sources.hf_options import HubDataOptions
from mlx_whisper_lora.data.sources.options import SourceOptions
from mlx_whisper_lora.training.options import TrainingOptions
from mlx_whisper_lora.training.run_options import RunOptions
from mlx_whisper_lora.training.trial_options import TrialOptions
from mlx_whisper_lora.whisper.option import OptionError, documented
from mlx_whisper_lora.whisper.text.languages import language_list

PROGRAM = "mlx_whisper_lora.lora"
DESCRIPTION = """\
Adapt a Whisper model to clips with their texts (--train), by LoRA or another method, and test it (--test).

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
class CommandOptions(TrainingCommand):
    """The tasks of the command."""

    def __post_init__(self):
        super().__post_init__()
        if not (self.train or self.test):
            raise OptionError("nothing to do: give `train`, `test` or both")
        if self.fine_tune_type == "head":
            raise OptionError("`fine_tune_type` head trains a classifier: use mlx_whisper_lora.classify")


def build_parser() -> CommandParser:
    """Build the parser. The flags of each method begin with its prefix: --lora-rank."""
    examples = f"{EXAMPLES}\nlanguages, for --language:\n{language_list()}\n"
    parser = CommandParser(PROGRAM, DESCRIPTION, examples, elsewhere=ELSEWHERE)
    parser.add_config_option(options_of_resumed_run)
    add_options(parser, CommandOptions)
    add_options(parser.add_argument_group("base, clips and adapter"), RunOptions)
    add_options(parser.add_argument_group("reading of clips"), SourceOptions)
    add_options(parser.add_argument_group("Hugging Face data sets"), HubDataOptions)
    add_method_options(parser)
    add_options(parser.add_argument_group("training"), TrainingOptions)
    add_options(parser.add_argument_group("trials before training"), TrialOptions)
    add_options(parser.add_argument_group("augmentation of training clips"), AugmentationOptions)
    add_decoding_options(parser.add_argument_group("transcription of test clips, as by transcribe"))
    return parser
