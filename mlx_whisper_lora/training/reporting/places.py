"""The files about a run that lie beside its adapter."""

from os import PathLike
from pathlib import Path


def beside(adapter_file: str | PathLike, ending: str) -> Path:
    """Return a place that is named after an adapter: adapters.npz and "metrics.jsonl" -> adapters_metrics.jsonl."""
    path = Path(adapter_file)
    return path.with_name(f"{path.stem}_{ending}")
