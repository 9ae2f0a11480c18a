"""`python -m mlx_whisper_lora COMMAND ...`: the commands as subcommands."""

import importlib
import sys

COMMANDS = {
    "lora": "train adapters on clips with texts, and test them",
    "fuse": "merge an adapter into its base model",
    "convert": "write a model in another format, type or quantisation",
    "transcribe": "sound files to text",
}


def main() -> None:
    if len(sys.argv) < 2 or sys.argv[1] not in COMMANDS:
        wants_help = len(sys.argv) > 1 and sys.argv[1] in ("-h", "--help")
        lines = [f"  {name:<12}{text}" for name, text in COMMANDS.items()]
        usage = "usage: mlx_whisper_lora COMMAND [options]\n\n" + "\n".join(lines) + "\n\nCOMMAND --help tells more."
        print(usage, file=sys.stdout if wants_help else sys.stderr)
        sys.exit(0 if wants_help else 2)
    command = sys.argv.pop(1)
    importlib.import_module(f"mlx_whisper_lora.{command}").cli()


if __name__ == "__main__":
    main()
