"""Print the imports between the rooms of the package, read from its code, and check that they run down.

    python -m tools.house

Needs Python alone. Prints a line for each room with the rooms that it imports. Imports inside functions count too, and
so do modules that are named in a string, to be imported when they are used. Exits with 1 if an import does not run down
in the order of LAYERS. If all run down, there is no circle.
"""

import ast
import sys
from pathlib import Path

PACKAGE = Path(__file__).parents[1] / "mlx_whisper_lora"
# From the top down. A room may import the rooms of lower layers, and no others.
LAYERS = (
    ("commands",),
    ("cli", "drop_in", "server", "studio_page"),
    ("explanation",),
    ("training",),
    ("data", "adapters"),
    ("whisper.transcription",),
    ("whisper.decoding", "whisper.checkpoints"),
    ("whisper.model",),
    ("whisper.text", "whisper.audio", "whisper.backends"),
    ("ground",),
)
LAYER = {room: layer for layer, rooms in enumerate(LAYERS) for room in rooms}


def room_of(module: str) -> str:
    """Return the room of a module: "whisper.audio" of "mlx_whisper_lora.whisper.audio.load"."""
    room, files = module.split(".")[1:2], "commands"
    if room == ["whisper"]:
        room, files = module.split(".")[1:3], "ground"
    in_folder = len(room) == (2 if files == "ground" else 1) and PACKAGE.joinpath(*room).is_dir()
    return ".".join(room) if in_folder else "ground" if room == ["version"] else files


def imported_modules(path: Path) -> set[str]:
    """Return the dotted names of the package's modules that a file imports."""
    names: set[str] = set()
    for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
        if isinstance(node, ast.ImportFrom) and node.module:
            names |= {node.module, *(f"{node.module}.{alias.name}" for alias in node.names)}
        elif isinstance(node, ast.Import):
            names |= {alias.name for alias in node.names}
        elif isinstance(node, ast.Constant) and isinstance(node.value, str):
            name = node.value.rstrip(".")
            if path.name.startswith("__") or name.count(".") > 1:  # elsewhere, a command's name is its title
                names.add(name)
    files = {name: PACKAGE.parent.joinpath(*name.split(".")) for name in names if name.startswith(f"{PACKAGE.name}.")}
    return {name for name, file in files.items() if file.is_dir() or file.with_suffix(".py").is_file()}


def main() -> None:
    arrows: dict[tuple[str, str], set[str]] = {}
    for path in sorted(PACKAGE.rglob("*.py")):
        file = path.relative_to(PACKAGE.parent)
        room = room_of(".".join(file.with_suffix("").parts))
        for name in imported_modules(path):
            arrows.setdefault((room, room_of(name)), set()).add(str(file))
    arrows = {(room, other): files for (room, other), files in arrows.items() if room != other}
    rooms = sorted({room for arrow in arrows for room in arrow}, key=lambda room: (LAYER[room], room))
    for room in rooms:
        print(f"{room:<22}-> {', '.join(other for other in rooms if (room, other) in arrows) or 'nothing'}")
    below = [arrow for arrow in arrows if all(LAYER[room] >= LAYER["whisper.transcription"] for room in arrow)]
    print(f"{len(below)} arrows inside whisper/, {len(arrows)} in all")
    wrong = {arrow: files for arrow, files in arrows.items() if LAYER[arrow[1]] <= LAYER[arrow[0]]}
    for (room, other), files in wrong.items():
        print(f"{room} may not import {other}: {', '.join(sorted(files))}")
    sys.exit(1 if wrong else 0)


if __name__ == "__main__":
    main()
