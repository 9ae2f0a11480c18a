"""The results of measurements, as lists in JSON files beside the tools."""

import json
from pathlib import Path
from typing import Any

_LONG = ("texts", "references", "clips")  # lists that are kept, and not printed


def read_results(path: Path) -> list[dict[str, Any]]:
    """Return what was measured before."""
    return json.loads(path.read_text(encoding="utf-8")) if path.exists() else []


def add_result(path: Path, found: dict[str, Any]) -> None:
    """Add a result to those in a file, which another process may have added to, and print its numbers."""
    path.write_text(json.dumps([*read_results(path), found], indent=1, ensure_ascii=False) + "\n", encoding="utf-8")
    print({key: value for key, value in found.items() if key not in _LONG or isinstance(value, int)}, flush=True)
