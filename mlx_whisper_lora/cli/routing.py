"""Choose the adapter of each recording by a classifier: `transcribe --route`."""

from collections.abc import Sequence
from dataclasses import replace

from mlx_whisper_lora.adapters.adapter_file import Adapter
from mlx_whisper_lora.adapters.classifier import check_transcribes
from mlx_whisper_lora.adapters.classify import LoadedClassifier
from mlx_whisper_lora.adapters.loading import find_model, load_model
from mlx_whisper_lora.adapters.open import open_adapter
from mlx_whisper_lora.cli.transcribe_options import CommandOptions
from mlx_whisper_lora.whisper.audio.errors import AudioError
from mlx_whisper_lora.whisper.checkpoints import load as checkpoints
from mlx_whisper_lora.whisper.decoding.decode import compute_dtype
from mlx_whisper_lora.whisper.model.whisper import Whisper
from mlx_whisper_lora.whisper.option import OptionError
from mlx_whisper_lora.whisper.terminal import say
from mlx_whisper_lora.whisper.transcription.options import TranscriptionOptions


class Router:
    """Transcribes each recording with the adapter of its class. The model of the last class is kept in memory.

    Args:
        command: the options of the command: `route`, `route_adapter`, and an adapter for the other classes.
        fallback: that adapter, or None for the base.
        options: how to transcribe. A language and a task that the command does not give are those of the adapter.

    Raises:
        AdapterError, CheckpointError: the classifier or an adapter cannot be read.
        OptionError: a class of `route_adapter` is not one of the classifier's.
    """

    def __init__(self, command: CommandOptions, fallback: Adapter | None, options: TranscriptionOptions):
        self.command, self.options = command, options
        classifier = open_adapter(command.route or "")
        base = find_model(None, classifier.config, command.route)
        say(f"Loading classifier {command.route}")
        self.classifier = LoadedClassifier.load(
            checkpoints.load_model(base.name, path=base.path), classifier, base.name
        )
        self.adapters = _open_adapters(command.route_adapter, self.classifier.about.classes)
        self.fallback = fallback
        usual = fallback or next(iter(self.adapters.values()))
        self.name, self.path = find_model(command.model, usual.config, usual.path, download_root=command.model_dir)
        self._loaded: tuple[Adapter | None, Whisper] | None = None

    def __call__(self, recording: str) -> tuple[Whisper, TranscriptionOptions]:
        """Classify a recording, and return the model and the options to transcribe it with.

        Raises:
            AudioError: the recording cannot be read, or is standard input, which cannot be read twice.
        """
        if recording == "-":
            raise AudioError("standard input cannot be read twice, to classify it first: give a file, or no --route")
        name, probability = next(iter(self.classifier.classify(recording).items()))
        adapter = self.adapters.get(name, self.fallback)
        chosen = f"adapter {adapter.path}" if adapter else "the base"
        say(f"{recording}: {name} ({100 * probability:.1f} %), transcribed with {chosen}")
        if self._loaded is None or self._loaded[0] is not adapter:
            self._loaded = None  # before loading, so that two models are never in memory at once
            dtype = compute_dtype(self.options.fp16)
            self._loaded = adapter, load_model(self.name, adapter_file=adapter, dtype=dtype, path=self.path)
        task = self.command.task or (adapter.config.task if adapter else "transcribe")
        return self._loaded[1], replace(self.options, language=self.command.language, task=task)


def _open_adapters(given: Sequence[str], classes: Sequence[str]) -> dict[str, Adapter]:
    """Return the adapters of classes, from texts such as "EGY=egy.npz"."""
    adapters = {}
    for text in given:
        name, _, file = text.partition("=")
        if name not in classes or not file:
            raise OptionError(
                f"`route_adapter` must be CLASS=ADAPTER, of the classes {', '.join(classes)}; got {text!r}"
            )
        if name in adapters:
            raise OptionError(f"`route_adapter` is given twice for {name}")
        adapters[name] = open_adapter(file)
        check_transcribes(file, adapters[name].config.classifier)
    return adapters
