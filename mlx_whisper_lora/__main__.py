"""Run the commands as subcommands: `python -m mlx_whisper_lora COMMAND ...`."""

import importlib
import sys

from mlx_whisper_lora.version import __version__

COMMANDS = {
    "inspect": "find the clips that a person should look at before training",
    "lora": "train adapters on clips with texts, and test them",
    "classify": "name the dialect or accent of recordings, and train to do so",
    "fuse": "merge an adapter into its base model",
    "merge": "merge several adapters into one",
    "convert": "write a model in another format, type or quantization, or an adapter for PEFT",
    "transcribe": "turn recordings into text",
    "explain": "show which parts of a recording a transcript rests on",
    "studio": "transcribe in the browser, with base and adapter side by side",
}


def main() -> None:
    """Run the command that the first argument names, or print the list of commands or the version."""
    argument = sys.argv[1] if len(sys.argv) > 1 else None
    if argument in COMMANDS:
        del sys.argv[1]
        importlib.import_module(f"mlx_whisper_lora.{argument}").cli()
    if argument == "--version":
        print(f"mlx_whisper_lora {__version__}")
        sys.exit(0)
    asks_for_help = argument in ("-h", "--help")
    print(_usage(), file=sys.stdout if asks_for_help else sys.stderr)
    sys.exit(0 if asks_for_help else 2)


def _usage() -> str:
    commands = "\n".join(f"  {name:<15}{text}" for name, text in COMMANDS.items())
    return f"""usage: mlx_whisper_lora COMMAND [options]
       mlx_whisper_lora --version

{commands}

mlx_whisper_lora COMMAND --help lists the options of a command."""


if __name__ == "__main__":
    main()
