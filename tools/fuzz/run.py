"""Make inputs by chance, load them, and collect what is wrong."""

import shutil
import tempfile
from collections import Counter
from pathlib import Path

import numpy as np

from tools.fuzz import downloads, models, recordings, tables
from tools.fuzz.case import Case, Goods, Maker, Outcome, nothing
from tools.fuzz.damage import damage
from tools.fuzz.good_files import arguments_of, loader_of, write_good_files
from tools.fuzz.worker import Worker
from tools.hub import Hub

ANSWER_TIME = {"HF_HUB_ETAG_TIMEOUT": "1", "HF_HUB_DOWNLOAD_TIMEOUT": "1", "HF_HUB_DISABLE_TELEMETRY": "1"}


def damaged(goods: Goods, folder: Path, random: np.random.Generator) -> Case:
    """Change bytes of a good file. It keeps its name and its neighbors."""
    files = sorted(path for path in goods.folder.glob("*/*") if path.parent.name != "demo")
    good = files[random.integers(len(files))]
    place = folder / good.parent.name
    place.mkdir()
    for other in good.parent.iterdir():
        (place / other.name).symlink_to(other)
    path = place / good.name
    path.unlink()
    path.write_bytes(damage(good.name, good.read_bytes(), random))
    kind = str(good.relative_to(goods.folder))
    return Case(kind, loader_of(path), arguments_of(path, goods.folder / "mlx"), str(place), nothing)


MAKERS: dict[Maker, float] = {  # and the share of each
    damaged: 0.44,
    recordings.joined: 0.12,
    recordings.cut: 0.12,
    recordings.other_file: 0.03,
    recordings.hostile_name: 0.05,
    tables.broken_table: 0.12,
    models.odd_vocabulary: 0.05,
    models.not_finite: 0.05,
    downloads.download: 0.02,
}


def run(count: int, seed: int = 0, first: int = 0, keep: Path | None = None) -> tuple[Counter, list[str]]:
    """Load inputs that chance made, and print a line for each fault.

    Args:
        count: number of cases.
        seed: with the number of a case, all that chance depends on.
        first: number of the first case.
        keep: a folder to copy the inputs to that a loader is at fault with.

    Returns:
        The number of (kind of input, outcome), and the lines of the faults.
    """
    outcomes: Counter = Counter()
    faults = []
    with tempfile.TemporaryDirectory() as name:
        base = Path(name)
        write_good_files(base / "good")
        goods = Goods(base / "good", Hub("someone/model", base / "good" / "mlx"))
        environment = ANSWER_TIME | {"HF_ENDPOINT": goods.hub.address, "HF_HOME": str(base / "downloads")}
        worker = Worker(environment)
        for number in range(first, first + count):
            random = np.random.default_rng([seed, number])
            folder = base / str(number)
            folder.mkdir()
            maker = list(MAKERS)[random.choice(len(MAKERS), p=list(MAKERS.values()))]
            case = maker(goods, folder, random)
            outcome = judge(case, worker.load(case))
            outcomes[case.kind, outcome.how] += 1
            if outcome.how == "fault":
                faults.append(f"{number} {case.kind}: {outcome.message}")
                print(faults[-1].encode("utf-8", "backslashreplace").decode(), flush=True)
                if keep:
                    shutil.copytree(folder, keep / f"{seed}-{number}", dirs_exist_ok=True)
            if worker.process.poll() is not None:
                worker = Worker(environment)
            shutil.rmtree(folder)
        worker.close()
        goods.hub.close()
    return outcomes, faults


def judge(case: Case, outcome: Outcome) -> Outcome:
    """Return the outcome, or a fault if it is wrong."""
    if outcome.how != "fault" and (problem := case.wrong(outcome)):
        return Outcome("fault", problem)
    return outcome
