"""Read a file of options: YAML of one level, whose keys are the names of flags."""

from pathlib import Path
from typing import NamedTuple, TypeAlias

import yaml

from mlx_whisper_lora.whisper.errors import one_line

Value: TypeAlias = str | list[str] | None  # as it is written. YAML itself takes "no" for False, and 1e-3 for a text.


class ConfigError(ValueError):
    """A file of options that cannot be understood. The message names it, and the line."""


class Entry(NamedTuple):
    """A key of a file of options, and its value."""

    key: str
    value: Value
    place: str  # "recipe.yaml, line 3"


def read_config(path: str) -> list[Entry]:
    """Read a file of options. No object of Python is made of it.

    Raises:
        ConfigError: the file cannot be read, is not YAML of one level, or has a key twice.
    """
    try:
        root = yaml.compose(Path(path).read_bytes(), Loader=yaml.SafeLoader)
    except OSError as error:
        raise ConfigError(f"{path}: {error.strerror}") from None
    except yaml.MarkedYAMLError as error:
        line = f", line {error.problem_mark.line + 1}" if error.problem_mark else ""
        raise ConfigError(f"{path}{line}: this is not YAML ({error.problem})") from None
    except (yaml.YAMLError, RecursionError) as error:
        raise ConfigError(f"{path}: this is not YAML ({one_line(error)})") from None
    if not isinstance(root, yaml.MappingNode):
        raise ConfigError(f"{path}: expected lines such as batch_size: 4")
    entries: dict[str, Entry] = {}
    for key, value in root.value:
        place = f"{path}, line {key.start_mark.line + 1}"
        entry = Entry(_text(key, place), _value(value, place), place)
        name = entry.key.replace("-", "_")
        if name in entries:
            raise ConfigError(f"{place}: {entry.key} is given twice, first as {entries[name].place}")
        entries[name] = entry
    return [*entries.values()]


def _value(node: yaml.Node, place: str) -> Value:
    """Return a value as it is written."""
    if isinstance(node, yaml.SequenceNode):
        return [_text(each, place) for each in node.value]
    return None if node.tag == "tag:yaml.org,2002:null" else _text(node, place)


def _text(node: yaml.Node, place: str) -> str:
    """Return the text of a node that has no others in it."""
    if not isinstance(node, yaml.ScalarNode):
        raise ConfigError(f"{place}: expected one value or a list of them, got a group; keys are not grouped here")
    if node.tag not in yaml.SafeLoader.yaml_constructors:
        raise ConfigError(f"{place}: the tag {node.tag} is not read")
    return node.value
