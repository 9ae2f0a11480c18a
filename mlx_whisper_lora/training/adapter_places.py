"""The adapter files of a run: their places, and what is there already."""

import io
import tempfile
import zipfile
from os import PathLike
from pathlib import Path

from mlx_whisper_lora.adapters.adapter_file import Adapter, AdapterConfig, read_adapter_config
from mlx_whisper_lora.adapters.errors import AdapterError
from mlx_whisper_lora.adapters.open import adapter_files, open_adapter
from mlx_whisper_lora.training.distributed import World
from mlx_whisper_lora.whisper.destinations import check_file
from mlx_whisper_lora.whisper.option import OptionError


def last_adapter_file(adapter_file: str | PathLike) -> Path:
    """Return the file for the newest adapter, beside the best one: adapters.npz -> adapters_last.npz."""
    path = Path(adapter_file)
    return path.with_name(f"{path.stem}_last{path.suffix}")


def check_places(adapter_file: str | PathLike, resumed: AdapterConfig | None, overwrite: bool) -> None:
    """Check that a run may write its best and its newest adapter, before it does any work.

    Args:
        adapter_file: the file for the best adapter.
        resumed: the configuration of the adapter that the run starts from, whose files may be replaced.
        overwrite: whether adapters of other runs may be replaced.

    Raises:
        OSError: a file cannot be written.
        OptionError: an adapter of another run would be replaced, or a file that is not an adapter.
    """
    for path in (Path(adapter_file), last_adapter_file(adapter_file)):
        if not check_place(path) or overwrite or (resumed and is_of_run(path, resumed)):
            continue
        raise OptionError(
            f"{path}: an adapter of another run is there; give `overwrite` to replace it, or another `adapter_file`"
            + ("" if resumed else f", or continue that run with `resume_adapter_file` {path}")
        )


def check_place(path: Path) -> bool:
    """Check that an adapter file can be written. Return whether there is an adapter already.

    Raises:
        OSError: a file cannot be written.
        OptionError: a file that is not an adapter would be replaced.
    """
    check_file(path)
    if not path.is_file():
        return False
    try:
        read_adapter_config(path)
    except AdapterError as error:
        raise OptionError(f"{error}; it is not replaced: remove it, or give another `adapter_file`") from None
    return True


def is_of_run(path: str | PathLike, adapter: AdapterConfig) -> bool:
    """Return whether a file is there and holds an adapter of the same run as another adapter."""
    return Path(path).is_file() and read_adapter_config(path).run == adapter.run


def read_adapter_of_first(world: World, path: str | PathLike | None) -> Adapter | None:
    """Read an adapter in the first of several processes, and send it to the others, which may lack the file.

    Args:
        world: the processes. All of them call this.
        path: the name of the adapter, or None. That of the first process counts.

    Raises:
        AdapterError: the first process cannot read the adapter.
    """
    adapter = open_adapter(path) if world.speaks and path else None
    if world.size == 1:
        return adapter
    content = world.gather(_packed(adapter.path) if adapter else b"")[0]
    if world.speaks or not content:
        return adapter
    with tempfile.TemporaryDirectory() as folder, zipfile.ZipFile(io.BytesIO(content)) as archive:
        archive.extractall(folder)
        names = archive.namelist()
        return open_adapter(Path(folder, names[0]) if len(names) == 1 else folder)


def _packed(path: Path) -> bytes:
    """Return a zip archive of the files of an adapter."""
    archive = io.BytesIO()
    with zipfile.ZipFile(archive, "w") as file:
        for part in adapter_files(path):
            file.write(part, part.name)
    return archive.getvalue()
