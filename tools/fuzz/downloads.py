"""Downloads from a hub that hangs, lies or stops half-way."""

from pathlib import Path

import numpy as np

from tools.fuzz.case import Case, Goods, unless, unless_refused, unless_refused_or
from tools.hub import LOGIN_PAGE, WRONG_ANSWERS

_FAULTS = (
    *("none", "hangs", "hangs later", "stalls", "loses", "breaks off"),
    *("other bytes", "wrong size", "no sizes", "missing", "listed", "answer"),
)


def download(goods: Goods, folder: Path, random: np.random.Generator) -> Case:
    """Ask a hub with a fault for a model that is not in the cache of downloads."""
    hub, name = goods.hub, f"someone/model-{random.integers(2**60)}"
    hub.serve_folder(goods.folder / "mlx")
    hub.repository = name
    files = ("config.json", "weights.safetensors")
    file = files[random.integers(len(files))]
    fault = _FAULTS[random.integers(len(_FAULTS))]
    facts = {"model": "mlx"}
    wrong = unless_refused
    match fault:
        case "none":
            wrong = unless(facts)
        case "hangs":
            hub.hangs = True
        case "hangs later":
            hub.stalls["config.json"] = None
        case "stalls":
            hub.stalls[file] = int(random.integers(len(hub.files[file])))
        case "loses":
            hub.loses_connections = True
        case "breaks off":
            hub.breaks_off[file] = int(random.integers(len(hub.files[file])))
        case "other bytes":
            same_size = bytes(len(hub.files[file]))
            hub.in_place[file] = LOGIN_PAGE if random.random() < 0.5 else same_size
        case "wrong size":
            hub.sizes[file] = int(random.integers(2**40))
        case "no sizes":
            hub.sizes = dict.fromkeys(hub.files)
            wrong = unless(facts)
        case "missing":
            del hub.files[file]
        case "listed":  # a name that leads out of the cache, or one that is not served
            hub.sizes[("../../evil.json", "/etc/evil", "vocab.json", "a/../../b.json")[random.integers(4)]] = 10
            wrong = unless_refused_or(facts)
        case "answer":
            name = list(WRONG_ANSWERS)[random.integers(len(WRONG_ANSWERS))]
    return Case(f"hub: {fault}", "model", [name], name.rpartition("/")[2], wrong)
