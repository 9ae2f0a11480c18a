"""The adapter file: one `.npz` that says what it is and which base it belongs to.

It holds each trained array by its path in the model (`decoder.blocks.3.attn.query.lora_a`), under `config` the
configuration as JSON in an array of bytes, and under `clips` a hash of the audio of each clip that it was trained on.
It is read without pickle. Version 4 is that of adapters with a new language; those without one have version 3. Older
versions are read too: 2 had no `clips`, and 1 had the settings of LoRA beside the other keys of the configuration.
"""

import hashlib
import json
import math
import types
import typing
import zipfile
from collections.abc import Callable
from dataclasses import asdict, dataclass, fields
from os import PathLike
from pathlib import Path
from typing import Any

import mlx.core as mx
import mlx.nn as nn
import numpy as np
from mlx.utils import tree_flatten

from mlx_whisper_lora.adapters.classifier import Classifier, read_classifier
from mlx_whisper_lora.adapters.errors import AdapterError
from mlx_whisper_lora.adapters.foreign import describe_foreign
from mlx_whisper_lora.adapters.inject import adapter_modules, build_modules, check_plain, put_adapter, trained_arrays
from mlx_whisper_lora.adapters.methods import METHODS, method_name
from mlx_whisper_lora.adapters.new_language import NewLanguage, read_new_language
from mlx_whisper_lora.adapters.record import Record
from mlx_whisper_lora.version import __version__
from mlx_whisper_lora.whisper.atomic_files import atomic_write
from mlx_whisper_lora.whisper.audio.context import is_context
from mlx_whisper_lora.whisper.checkpoints.hub import absolute_name, hub_repository
from mlx_whisper_lora.whisper.errors import NPZ_ERRORS, one_line
from mlx_whisper_lora.whisper.model.randomness import random_numbers_from, random_state
from mlx_whisper_lora.whisper.model.whisper import ModelDimensions, Whisper
from mlx_whisper_lora.whisper.text.languages import is_code
from mlx_whisper_lora.whisper.text.tokenizer import TASKS

VERSION, _WITH_NEW_LANGUAGE, _PLAIN = 5, 4, 3  # the first number is of files with a classifier
_CONFIG_KEY = "config"
_CLIPS_KEY = "clips"
_SAMPLES_PER_ARRAY = 1024
_MOST_UNPACKED = 10  # times the size of the file. Trained numbers do not compress so well: it would be a trap.
_LARGEST_DIMENSION = 2**20  # far above every Whisper
_LONGEST_NAME = 4096
_SMALLEST_NORMAL = 2.0**-14  # of float16. Devices differ in how they round smaller numbers.


@dataclass(frozen=True)
class Base:
    """The model that an adapter belongs to."""

    name: str  # the name it was loaded by. A path is absolute, and without links. "" if PEFT did not store it.
    dimensions: dict[str, int] | None  # None if another library trained the adapter
    fingerprint: str | None  # a hash of its weights, or None as well
    repository: str | None = None  # its name on the Hugging Face Hub, if it came from there

    @staticmethod
    def of(model: Whisper, name: str) -> "Base":
        """Describe a plain model that was loaded by `name`."""
        return Base(absolute_name(name), model.dims.to_dict(), fingerprint(model), hub_repository(name))

    def describe(self) -> str:
        """Return its name, and the fingerprint of its weights if it is known."""
        return f"{self.name} (weights {self.fingerprint})" if self.fingerprint else self.name or "a base without name"


@dataclass(frozen=True)
class AdapterConfig:
    """The configuration in an adapter file."""

    settings: Any  # the configuration of the method, such as LoRAConfig
    language: str | None  # a code, or None if the clips had several languages
    task: str
    audio_context: float  # seconds of audio that the encoder saw in training, or AUTO for as many as the clips had
    base: Base
    run: str | None = None  # stands for the run of training, and for those that resume it; None in old files
    clips: frozenset[int] = frozenset()  # hashes of the audio of the clips that it was trained on
    new_language: NewLanguage | None = None  # a language that the base lacks, and whose token was trained
    classifier: Classifier | None = None  # the classes that it names, if it does not transcribe
    record: Record | None = None  # of the run; None in old files, and of adapters of other libraries

    @property
    def split(self) -> str:
        """Return a hash of the clips that the adapter was trained on, all together."""
        return hashlib.sha256(_clip_array(self.clips).tobytes()).hexdigest()[:16]

    @property
    def method(self) -> str:
        """Return the name of the method."""
        return method_name(self.settings)

    def to_json(self) -> dict[str, Any]:
        """Return the configuration as it is stored."""
        new = {"new_language": asdict(self.new_language)} if self.new_language else {}
        record = {"record": asdict(self.record)} if self.record else {}
        classifier = {"classifier": self.classifier.to_json()} if self.classifier else {}
        return {
            "version": VERSION if classifier else _WITH_NEW_LANGUAGE if new else _PLAIN,
            "method": self.method,
            "settings": {name: value for name, value in asdict(self.settings).items() if not _is_off(value)},
            "language": self.language,
            "task": self.task,
            "audio_context": self.audio_context,
            "base": asdict(self.base),
            "run": self.run,
            "split": self.split,
            "library_version": __version__,
            **new,
            **record,
            **classifier,
        }

    @staticmethod
    def from_json(config: dict[str, Any], clips: np.ndarray | None = None) -> "AdapterConfig":
        """Build the configuration from what is stored.

        Args:
            config: the JSON object.
            clips: the hashes of the clips, if the file has them.

        Raises:
            KeyError, TypeError, ValueError, OverflowError: the JSON is not the configuration of an adapter.
        """
        if not isinstance(config, dict):
            raise ValueError("its configuration is not a JSON object")
        version = config.get("version", 1)
        if version not in range(1, VERSION + 1):
            raise ValueError(
                f"its format is version {version}, and this library reads 1 to {VERSION}: update mlx_whisper_lora"
            )
        method = config["method"]
        if method not in METHODS:
            raise ValueError(
                f"its method is {method!r}, and this library knows {', '.join(METHODS)}: update mlx_whisper_lora"
            )
        settings_type = METHODS[method].Config
        names = {each.name for each in fields(settings_type)}
        stored = config["settings"] if version > 1 else {name: config[name] for name in names & config.keys()}
        if not isinstance(stored, dict):
            raise ValueError(f"its settings are {stored!r}")
        language, task, base = config["language"], config["task"], config["base"]
        new_language = read_new_language(config["new_language"]) if version == _WITH_NEW_LANGUAGE else None
        if not (language is None or is_code(language)) or task not in TASKS:
            raise ValueError(f"its language is {language!r} and its task {task!r}")
        audio_context = float(config["audio_context"])
        if not is_context(audio_context):
            raise ValueError(f"its audio_context is {audio_context}")
        found = AdapterConfig(
            settings=_settings_from_json(settings_type, stored),
            language=language,
            task=task,
            audio_context=audio_context,
            base=_base_from_json(base),
            run=str(config["run"]) if config.get("run") else None,
            clips=frozenset() if clips is None else frozenset(clips.tolist()),
            new_language=new_language,
            record=Record.from_json(config["record"]) if config.get("record") else None,
            classifier=read_classifier(config["classifier"]) if version == VERSION else None,
        )
        if version >= _PLAIN and found.split != config["split"]:
            raise ValueError("its clips are not those that it names")
        return found


@dataclass(frozen=True)
class Adapter:
    """An adapter file that was read."""

    path: Path
    config: AdapterConfig
    arrays: dict[str, np.ndarray]  # by path in the model
    is_partial: bool = False  # whether layers that the settings name may lack arrays. These layers stay as in the base.


def fingerprint(model: Whisper) -> str:
    """Hash evenly spaced samples of every weight of a plain model.

    The samples are taken in float16. So a checkpoint has one fingerprint whether it is loaded in float16 or in float32,
    and in every layout. A quantized checkpoint has its own.

    Raises:
        AdapterError: the model has an adapter.
    """
    check_plain(model)
    digest = hashlib.sha256()
    for name, array in sorted(tree_flatten(model.parameters())):
        flat = array.reshape(-1)
        part = flat[:: max(1, flat.size // _SAMPLES_PER_ARRAY)]
        if mx.issubdtype(part.dtype, mx.floating):
            sample = np.array(part.astype(mx.float32)).astype(np.float16)
            sample[np.abs(sample) < _SMALLEST_NORMAL] = 0
        else:  # quantized weights, several packed into each integer
            sample = np.array(part)
        digest.update(name.encode() + sample.tobytes())
    return digest.hexdigest()[:16]


def save_adapter(path: str | PathLike, model: Whisper, config: AdapterConfig) -> None:
    """Write the trainable arrays of a model's adapter, in float32, and their configuration.

    Raises:
        FloatingPointError: an array holds NaN or infinite numbers.
        OSError: the file cannot be written.

    In both cases, a file that was at `path` is unchanged.
    """
    arrays: dict[str, Any] = {_CONFIG_KEY: np.frombuffer(json.dumps(config.to_json()).encode(), dtype=np.uint8)}
    arrays[_CLIPS_KEY] = _clip_array(config.clips)
    for name, array in trained_arrays(adapter_modules(model)).items():
        arrays[name] = np.array(array.astype(mx.float32))
        if not np.isfinite(arrays[name]).all():
            raise FloatingPointError(
                f"{name} of the adapter is not finite, so it was not saved; lower the learning rate"
            )
    with atomic_write(path, "wb") as file:
        np.savez(file, **arrays)


def read_adapter(path: str | PathLike) -> Adapter:
    """Read an adapter file.

    Raises:
        AdapterError: there is no such file, or it is damaged or not an adapter.
    """
    arrays = _read_arrays(Path(path), lambda name: True)
    config = _parse_config(Path(path), arrays)
    for key in (_CONFIG_KEY, _CLIPS_KEY):
        arrays.pop(key, None)
    return Adapter(Path(path), config, arrays)


def read_adapter_config(path: str | PathLike) -> AdapterConfig:
    """Read the configuration of an adapter file, and nothing else of it.

    Raises:
        AdapterError: there is no such file, or it is damaged or not an adapter.
    """
    return _parse_config(Path(path), _read_arrays(Path(path), lambda name: name in (_CONFIG_KEY, _CLIPS_KEY)))


def load_adapter(model: Whisper, adapter: str | PathLike | Adapter, base_name: str) -> AdapterConfig:
    """Put an adapter into the base that it was trained on.

    Args:
        model: a plain model.
        adapter: an adapter file, or one that was read.
        base_name: the name that the model was loaded by.

    Returns:
        The adapter's configuration.

    Raises:
        AdapterError: the file cannot be read, or belongs to another base. The model is unchanged.
    """
    if not isinstance(adapter, Adapter):
        adapter = read_adapter(adapter)
    config = adapter.config
    check_base(adapter.path, config.base, Base.of(model, base_name), base_name)
    with random_numbers_from(random_state()):
        modules = build_modules(model, config.settings, config.new_language, config.classifier)
    _fill(modules, adapter)
    put_adapter(model, config.method, modules)
    model.audio_context = config.audio_context
    model.default_language = config.language
    return config


def replace_adapter(model: Whisper, adapter: Adapter) -> None:
    """Give the adapter of a model the arrays of another one with the same settings.

    Raises:
        AdapterError: the arrays do not fit.
    """
    _fill(adapter_modules(model), adapter)


def _fill(modules: dict[str, nn.Module], adapter: Adapter) -> None:
    expected = trained_arrays(modules)
    arrays = adapter.arrays
    if adapter.is_partial:
        arrays = {name: _without_effect(name, array) for name, array in expected.items()} | arrays
        _check_fits(adapter, expected)
    _check_arrays(adapter.path, arrays, expected)
    for path, module in modules.items():
        names = [name for name, _ in tree_flatten(module.trainable_parameters())]
        stored = [(name, mx.array(arrays[f"{path}.{name}"].astype(np.float32))) for name in names]
        module.load_weights(stored, strict=False)


def _without_effect(name: str, array: mx.array) -> np.ndarray:
    """Return what the array of a fresh layer becomes if an adapter lacks the layer.

    A and B of zeros add nothing, and have no gradient. Magnitudes start as those of the base.
    """
    return np.zeros(array.shape, np.float32) if name.endswith((".lora_a", ".lora_b")) else np.array(array)


def _clip_array(clips: frozenset[int]) -> np.ndarray:
    return np.array(sorted(clips), dtype=np.uint64)


def _read_arrays(path: Path, wanted: Callable[[str], bool]) -> dict[str, np.ndarray]:
    """Read the arrays of a file whose names are wanted."""
    if not path.exists():
        raise AdapterError(f"{path}: no such adapter file")
    if not (path.is_file() or path.is_dir()):
        raise AdapterError(f"{path}: a device or a pipe, not an adapter file")
    if foreign := describe_foreign(path):
        raise AdapterError(f"{path}: this is {foreign}")
    try:
        with zipfile.ZipFile(path) as archive:
            members = {member.filename.removesuffix(".npy"): member for member in archive.infolist()}
            if sum(member.file_size for member in archive.infolist()) > _MOST_UNPACKED * path.stat().st_size:
                raise ValueError(f"it would unpack to over {_MOST_UNPACKED} times its size")
            return {name: _read_member(archive, member) for name, member in members.items() if wanted(name)}
    except NPZ_ERRORS as error:
        raise AdapterError(f"{path}: not an adapter file, damaged or cut short ({one_line(error)})") from None


def _read_member(archive: zipfile.ZipFile, member: zipfile.ZipInfo) -> np.ndarray:
    """Read an array. Raise one of NPZ_ERRORS if it is damaged, before memory is spent on sizes that are not true."""
    headers = {(1, 0): np.lib.format.read_array_header_1_0, (2, 0): np.lib.format.read_array_header_2_0}
    with archive.open(member) as file:
        version = np.lib.format.read_magic(file)
        if version not in headers:
            raise ValueError(f"{member.filename} has version {version} of NumPy's format")
        shape, in_columns, dtype = headers[version](file)
        if dtype.hasobject:
            raise ValueError(f"{member.filename} holds Python objects, which are not read")
        size = math.prod(shape) * dtype.itemsize
        if member.file_size != file.tell() + size:
            raise ValueError(f"{member.filename} asks for {size} bytes, and has {member.file_size - file.tell()}")
        return np.frombuffer(file.read(size), dtype).reshape(shape, order="F" if in_columns else "C")


def _parse_config(path: Path, arrays: dict[str, np.ndarray]) -> AdapterConfig:
    try:
        return AdapterConfig.from_json(json.loads(arrays[_CONFIG_KEY].tobytes()), arrays.get(_CLIPS_KEY))
    except (KeyError, TypeError, ValueError, OverflowError, RecursionError) as error:
        reason = f"{error} is missing" if isinstance(error, KeyError) else one_line(error)
        raise AdapterError(f"{path}: an .npz file, but not an adapter that this library reads ({reason})") from None


def _base_from_json(base: dict[str, Any]) -> Base:
    dimensions, repository = base["dimensions"], base.get("repository")
    texts = (base["name"], base["fingerprint"], "none" if repository is None else repository)
    if not all(isinstance(text, str) and 0 < len(text) <= _LONGEST_NAME for text in texts):
        raise ValueError("the names and the fingerprint of its base should be texts")
    known = {each.name for each in fields(ModelDimensions)}
    if not isinstance(dimensions, dict) or dimensions.keys() != known:
        raise ValueError("the dimensions of its base are not those of Whisper")
    for key, number in dimensions.items():
        if type(number) is not int or not 1 <= number <= _LARGEST_DIMENSION:
            raise ValueError(f"{key} of its base is {number!r}")
    return Base(base["name"], dimensions, base["fingerprint"], repository)


def _settings_from_json(settings_type: type, stored: dict[str, Any]) -> Any:
    """Build the configuration of a method. JSON has lists for tuples, and may have a whole number for a float."""
    unknown = sorted(stored.keys() - {each.name for each in fields(settings_type)})
    if unknown:
        raise ValueError(f"its setting {unknown[0]} is unknown: update mlx_whisper_lora")
    kinds = typing.get_type_hints(settings_type)
    needed = [each.name for each in fields(settings_type) if each.name in stored or not _is_off(each.default)]
    return settings_type(**{name: _typed(name, stored[name], kinds[name]) for name in needed})


def _is_off(value: Any) -> bool:
    """Return whether a setting is off, and so is not stored: earlier versions may lack it."""
    return value is None or value is False


def _typed(name: str, value: Any, annotation: Any) -> Any:
    """Return a setting as the type that its field has. Raise ValueError if it has another."""
    kinds = typing.get_args(annotation) if isinstance(annotation, types.UnionType) else (annotation,)
    for kind in kinds:
        kind = typing.get_origin(kind) or kind
        if type(value) is kind:
            return value
        if (kind, type(value)) in ((float, int), (tuple, list)):
            return kind(value)
    raise ValueError(f"its setting {name} is {value!r}")


def check_base(path: Path, wanted: Base, given: Base, given_name: str) -> None:
    """Raise AdapterError, naming both, unless the given model is the one that the adapter was trained on.

    An adapter of another library does not say enough about its base: then its arrays have to fit.
    """
    if wanted.dimensions is not None and wanted.dimensions != given.dimensions:
        expected, found = wanted.dimensions, given.dimensions or {}
        different = [key for key, value in expected.items() if found.get(key) != value]
        key = different[0] if different else "n_mels"
        raise AdapterError(
            f"{path}: this adapter was trained on {wanted.name} ({key} {expected.get(key)}) "
            f"and does not fit {given_name} ({key} {found.get(key)})"
        )
    if wanted.fingerprint is not None and wanted.fingerprint != given.fingerprint:
        raise AdapterError(
            f"{path}: this adapter was trained on {wanted.describe()}, and {given_name} has "
            f"the same dimensions but other weights ({given.fingerprint})"
        )


def _check_fits(adapter: Adapter, expected: dict[str, mx.array]) -> None:
    """Raise AdapterError unless a model has the layers of an adapter whose base is only known by its name."""
    name_of_base = adapter.config.base.name
    trained_on = f"trained on {name_of_base}" if name_of_base else "its base is not named"
    for name, array in adapter.arrays.items():
        if name not in expected:
            raise AdapterError(
                f"{adapter.path}: this adapter ({trained_on}) does not fit the model, which has no layer for {name}"
            )
        if array.shape != expected[name].shape:
            raise AdapterError(
                f"{adapter.path}: this adapter ({trained_on}) does not fit the model: {name} has the shape "
                f"{array.shape}, and the model has {expected[name].shape}"
            )


def _check_arrays(path: Path, arrays: dict[str, np.ndarray], expected: dict[str, mx.array]) -> None:
    """Raise AdapterError unless the arrays of a file are those that its configuration describes."""
    for name, array in expected.items():
        stored = arrays.get(name)
        if stored is None:
            raise AdapterError(f"{path}: the array {name} is missing; the file is damaged")
        if stored.shape != array.shape or stored.dtype.kind != "f" or not np.isfinite(stored).all():
            raise AdapterError(f"{path}: {name} should hold finite numbers of shape {array.shape}; the file is damaged")
    unknown = sorted(arrays.keys() - expected.keys())
    if unknown:
        raise AdapterError(f"{path}: the array {unknown[0]} does not belong to this adapter")
