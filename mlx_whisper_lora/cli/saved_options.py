"""Save the options of a run beside its adapter, as a file that `--config` reads."""

from collections.abc import Mapping
from dataclasses import replace
from typing import Any

import yaml

from mlx_whisper_lora.cli.options import OptionType
from mlx_whisper_lora.training.callbacks import Callback, RunStart, TrialsStart
from mlx_whisper_lora.training.run_options import ADAPTER_FILE, RunOptions, options_file
from mlx_whisper_lora.version import __version__
from mlx_whisper_lora.whisper.atomic_files import atomic_write
from mlx_whisper_lora.whisper.destinations import check_file
from mlx_whisper_lora.whisper.option import OptionError

_HEADING = "# The options of a run of mlx_whisper_lora"
_NOT_REPEATED = ("overwrite", "preview_augmentation", "resume")  # a file that replaces adapters unasked would be a trap


class SavedOptions(Callback):
    """Writes the options of a run, with the numbers that the clips lead to, when training starts.

    Args:
        program: the module of the command.
        declared: the options that the file can have, by name.
        options: the options of this run, a dataclass of each kind.
    """

    def __init__(self, program: str, declared: Mapping[str, OptionType], run: RunOptions, *options: Any):
        self.program, self.declared, self.run, self.options = program, declared, run, options
        self.path = options_file(run.adapter_file or ADAPTER_FILE)
        self._saved = run.resume  # it has the options of this file

    def load(self, model: str) -> None:
        """Check the place before any work.

        Raises:
            OSError: the file cannot be written.
            OptionError: somebody's own file would be replaced.
        """
        check_file(self.path)
        if self.path.is_file() and not self.path.read_bytes().startswith(_HEADING.encode()):
            raise OptionError(
                f"{self.path}: this file was not saved by a run, which would replace it: give another `adapter_file`"
            )

    def trials(self, start: TrialsStart) -> None:
        self._save(start)

    def start(self, start: RunStart) -> None:
        self._save(start, resumes=start.resumed_from is not None)

    def _save(self, start: TrialsStart | RunStart, resumes: bool = False) -> None:
        """Save the options, unless they were: what trials find is not what was asked for."""
        if self._saved:
            return
        self._saved = True
        named = {name: getattr(start.options, name) for name in ("model", "task", "adapter_file")}
        run = replace(self.run, **named)  # its language is the one that was asked for, if any
        # An adapter to resume from has its own settings.
        known = [run, start.training, *self.options, *([] if resumes else [start.settings])]
        values: dict[str, Any] = {}
        for name, option in self.declared.items():
            each = next((each for each in known if isinstance(each, option.options)), None)
            if each is None or name in _NOT_REPEATED:
                continue
            value = getattr(each, option.field.name)
            if value is not None or option.field.default is not None:
                values[name] = list(value) if isinstance(value, tuple) else value
        with atomic_write(self.path) as file:
            file.write(f"{_HEADING} {__version__}. The same run again:\n")
            file.write(f"# python -m {self.program} -c {self.path.name} --adapter-file again.npz\n")
            yaml.safe_dump(values, file, default_flow_style=None, allow_unicode=True, sort_keys=False)
