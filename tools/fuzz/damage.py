"""Damage audio files, adapters and models at random, and check that the loaders refuse them in one line.

    python -m tools.fuzz --count 2000

The files are loaded in another process, which may not crash, take longer than TIMEOUT seconds or more than MEMORY
bytes, or raise anything but our own errors. `--seed 0 --first 123 --count 1` repeats case 123.
"""

import argparse
import io
import json
import re
import resource
import shutil
import subprocess
import sys
import tempfile
import threading
import zipfile
from collections import Counter
from collections.abc import Callable
from pathlib import Path

import mlx.core as mx
import numpy as np
import soundfile

from mlx_whisper_lora.adapters.adapter_file import AdapterConfig, Base, save_adapter
from mlx_whisper_lora.adapters.errors import AdapterError
from mlx_whisper_lora.adapters.inject import add_adapter
from mlx_whisper_lora.adapters.loading import load_model
from mlx_whisper_lora.adapters.lora import LoRAConfig
from mlx_whisper_lora.whisper.audio.errors import AudioError
from mlx_whisper_lora.whisper.audio.log_mel import SpooledLogMel
from mlx_whisper_lora.whisper.checkpoints.ctranslate2 import write_model_bin
from mlx_whisper_lora.whisper.checkpoints.load import CheckpointError
from mlx_whisper_lora.whisper.checkpoints.save import save_model
from mlx_whisper_lora.whisper.model.quantization import Quantization, quantize
from mlx_whisper_lora.whisper.model.whisper import ModelDimensions, Whisper
from tools.references.seeded import chirps

ROOT = Path(__file__).parents[1]
TIMEOUT = 60  # seconds a file; a busy machine needs them
MEMORY = 2 * 10**9  # bytes resident
ADDRESS_SPACE = 4 * 2**30
# Small, so that structure is much of its files; quantized in groups of 32, which its width has to be a multiple of.
DIMENSIONS = ModelDimensions(
    n_mels=80,
    n_audio_ctx=1500,
    n_audio_state=32,
    n_audio_head=2,
    n_audio_layer=1,
    n_vocab=64,
    n_text_ctx=64,
    n_text_state=32,
    n_text_head=2,
    n_text_layer=1,
)
ENCODINGS = {  # of audio, by the file format
    "WAV": ("PCM_16", "PCM_24", "FLOAT", "ULAW", "IMA_ADPCM"),
    "RF64": ("PCM_16",),
    "AIFF": ("PCM_16",),
    "AU": ("PCM_16",),
    "CAF": ("PCM_16",),
    "FLAC": ("PCM_16",),
    "OGG": ("VORBIS", "OPUS"),
    "MP3": ("MPEG_LAYER_III",),
}
CHECKPOINTS = ROOT / "tests" / "whisper" / "reference" / "checkpoints"  # by torch and transformers


def write_good_files(folder: Path) -> list[str]:
    """Write the files to damage: audio, an adapter and models, each model in a folder of its own.

    The adapter's base is the model "mlx".

    Returns:
        The paths in `folder`, such as "mlx/config.json".
    """
    for name in ("audio", "adapter", "npz", "pt", "ct2"):
        (folder / name).mkdir()
    stereo = np.stack([chirps(0.3, seed=0), chirps(0.3, seed=1)], axis=1)
    for container, encodings in ENCODINGS.items():
        for encoding in encodings:
            path = folder / "audio" / f"{encoding.lower()}.{container.lower()}"
            soundfile.write(path, stereo, 16000, format=container, subtype=encoding)

    mx.random.seed(0)
    model = Whisper(DIMENSIONS)
    model.alignment_heads = ((0, 0), (0, 1))
    save_model(model, folder / "mlx")
    shutil.copy(folder / "mlx" / "config.json", folder / "npz")
    mx.savez(str(folder / "npz" / "weights.npz"), **mx.load(str(folder / "mlx" / "weights.safetensors")))
    (folder / "ct2" / "config.json").write_text('{"alignment_heads": [[0, 0], [0, 1]]}')
    with (folder / "ct2" / "model.bin").open("wb") as file:
        write_model_bin(file, model, int8=True)
    config = AdapterConfig(LoRAConfig(layers=1), "en", "transcribe", 30.0, Base.of(model, "base"))
    add_adapter(model, config.settings)
    save_adapter(folder / "adapter" / "adapter.npz", model, config)

    quantized = Whisper(DIMENSIONS)
    quantize(quantized, Quantization(32, 4))
    save_model(quantized, folder / "quantized")
    for name in ("float32.pt", "parameters.pt"):
        shutil.copy(CHECKPOINTS / name, folder / "pt")
    for source in CHECKPOINTS.glob("transformers*"):
        shutil.copytree(source, folder / source.name)
    return sorted(str(path.relative_to(folder)) for path in folder.glob("*/*"))


def place(good: Path, case: Path, data: bytes) -> None:
    """Write damaged `data` into the new folder `case` under the name of the file `good`, beside its neighbors."""
    case.mkdir(parents=True)
    for other in good.parent.iterdir():
        (case / other.name).symlink_to(other)
    (case / good.name).unlink()
    (case / good.name).write_bytes(data)


def load(base: Path, path: Path) -> None:
    """Load a file as the commands do."""
    match path.parent.name:
        case "audio":
            SpooledLogMel(path, 80)
        case "adapter":
            load_model(base, adapter_file=path)
        case "pt":
            load_model(path)
        case _:
            load_model(path.parent)


NUMBERS = [0, 1, 2**15 - 1, 2**16 - 1, 2**31 - 1, 2**31, 2**32 - 1, 2**40, 2**62, 2**63, 2**64 - 1]
WORDS = [b"0", b"-1", b"1e999", b"null", b"[]", b"{", b'"x"', b"NaN", b"99999999999", b"1000000000000000000000"]


def damage(name: str, data: bytes, random: np.random.Generator) -> bytes:
    """Return `data` with one to four changes.

    Half of the time these are words in JSON, or changes inside one member of an archive, whose checksum is then right.
    """
    if zipfile.is_zipfile(io.BytesIO(data)) and random.random() < 0.5:
        return damage_member(data, random)
    mutations = [put_word] if name.endswith(".json") and random.random() < 0.5 else MUTATIONS
    for _ in range(random.integers(1, 5)):
        data = mutations[random.integers(len(mutations))](data, random)
    return data


def damage_member(data: bytes, random: np.random.Generator) -> bytes:
    damaged = io.BytesIO()
    with zipfile.ZipFile(io.BytesIO(data)) as archive, zipfile.ZipFile(damaged, "w") as copy:
        names = archive.namelist()
        chosen = names[random.integers(len(names))]
        for name in names:
            member = archive.read(name)
            copy.writestr(name, damage("", member, random) if name == chosen else member)
    return damaged.getvalue()


def somewhere(data: bytes, random: np.random.Generator) -> int:
    """Return a random place in `data`, most often near its beginning, where the headers are."""
    return int(len(data) * random.random() ** 4)


def flip_bits(data: bytes, random: np.random.Generator) -> bytes:
    changed = bytearray(data)
    for _ in range(random.integers(1, 16)):
        if changed:
            changed[somewhere(data, random)] ^= 1 << int(random.integers(8))
    return bytes(changed)


def put_number(data: bytes, random: np.random.Generator) -> bytes:
    width = int(random.choice([2, 4, 8]))
    number = NUMBERS[random.integers(len(NUMBERS))] % 256**width
    at = somewhere(data, random)
    return data[:at] + number.to_bytes(width, "big" if random.random() < 0.3 else "little") + data[at + width :]


def put_word(data: bytes, random: np.random.Generator) -> bytes:
    """Replace a number written in digits or a string, as in JSON."""
    found = list(re.finditer(rb'-?\d+|"[^"]*"', data[:4096]))
    if not found:
        return data
    match = found[random.integers(len(found))]
    word = WORDS[random.integers(len(WORDS))].ljust(match.end() - match.start())  # the rest stays in its place
    return data[: match.start()] + word + data[match.end() :]


def cut_off(data: bytes, random: np.random.Generator) -> bytes:
    return data[: int(len(data) * random.random())]


def take_out(data: bytes, random: np.random.Generator) -> bytes:
    at = somewhere(data, random)
    return data[:at] + data[at + int(random.integers(1, 64)) :]


def repeat(data: bytes, random: np.random.Generator) -> bytes:
    at = somewhere(data, random)
    return data[:at] + data[at : at + int(random.integers(1, 512))] * 2 + data[at:]


def overwrite(data: bytes, random: np.random.Generator) -> bytes:
    at, size = somewhere(data, random), int(random.integers(1, 256))
    filler = random.bytes(size) if random.random() < 0.5 else bytes(size)
    return data[:at] + filler + data[at + size :]


MUTATIONS: list[Callable[[bytes, np.random.Generator], bytes]] = [
    flip_bits,
    put_number,
    put_word,
    cut_off,
    take_out,
    repeat,
    overwrite,
]


class Worker:
    """A process that loads files, one a line of its standard input, and reports the outcome of each."""

    def __init__(self, base: Path):
        self.process = subprocess.Popen(
            [sys.executable, "-m", "tools.fuzz", "--worker", str(base)],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.DEVNULL,  # the MP3 decoder talks a lot
            text=True,
            cwd=ROOT,
        )
        self.process.stdout.readline()  # it is ready: its imports do not count as a file's time

    def load(self, path: Path) -> tuple[str, str]:
        """Load a file; return "read", "refused" or "fault", and the message. The worst faults end the process."""
        watchdog = threading.Timer(TIMEOUT, self.process.kill)
        watchdog.start()
        self.process.stdin.write(f"{path}\n")
        self.process.stdin.flush()
        line = self.process.stdout.readline()
        in_time = watchdog.is_alive()
        watchdog.cancel()
        if not line:
            code = self.process.wait()
            return "fault", f"crashed, code {code}" if in_time else f"not done after {TIMEOUT} s"
        how, message, peak = json.loads(line)
        if peak > MEMORY:
            self.close()
            return "fault", f"took {peak / 1e9:.1f} GB"
        return how, message

    def close(self) -> None:
        self.process.kill()
        self.process.communicate()


def work(base: Path) -> None:
    """Load files in this process, as the worker."""
    resource.setrlimit(resource.RLIMIT_AS, (ADDRESS_SPACE, ADDRESS_SPACE))
    print(flush=True)
    for line in sys.stdin:
        path = Path(line.rstrip("\n"))
        try:
            load(base, path)
            how, message = "read", ""
        except (AudioError, AdapterError, CheckpointError) as error:
            message = str(error)
            how = "refused" if str(path.parent) in message and "\n" not in message else "fault"
        except BaseException as error:
            how, message = "fault", f"{type(error).__name__}: {error}"
        peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * (1 if sys.platform == "darwin" else 1024)
        print(json.dumps([how, message, peak]), flush=True)


def run(count: int, seed: int = 0, first: int = 0, keep: Path | None = None) -> tuple[Counter, list[str]]:
    """Load damaged files, and print a line for each fault.

    Args:
        count: number of cases.
        seed: with the number of a case, all that chance depends on.
        first: number of the first case.
        keep: a folder to copy the files to that a loader is at fault with.

    Returns:
        The number of (kind of file, outcome), and the lines of the faults.
    """
    outcomes: Counter = Counter()
    faults = []
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        kinds = write_good_files(folder)
        worker = Worker(folder / "mlx")
        for number in range(first, first + count):
            random = np.random.default_rng([seed, number])
            kind = kinds[random.integers(len(kinds))]
            case = folder / str(number) / Path(kind).parent
            place(folder / kind, case, damage(kind, (folder / kind).read_bytes(), random))
            path = case / Path(kind).name
            how, message = worker.load(path)
            outcomes[kind, how] += 1
            if how == "fault":
                faults.append(f"{number} {kind}: {message}")
                print(faults[-1], flush=True)
                if keep:
                    keep.mkdir(parents=True, exist_ok=True)
                    shutil.copy(path, keep / f"{seed}-{number}-{path.name}")
            if worker.process.poll() is not None:
                worker = Worker(folder / "mlx")
            shutil.rmtree(case.parent)
        worker.close()
    return outcomes, faults


def main() -> None:
    parser = argparse.ArgumentParser(description="Load damaged files.")
    parser.add_argument("--count", type=int, default=2000)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--first", type=int, default=0, help="number of the first case")
    parser.add_argument("--keep", type=Path, help="folder for the files that a loader is at fault with")
    parser.add_argument("--worker", type=Path, metavar="BASE", help=argparse.SUPPRESS)
    args = parser.parse_args()
    if args.worker:
        return work(args.worker)
    outcomes, faults = run(args.count, args.seed, args.first, args.keep)
    for kind in sorted({kind for kind, _ in outcomes}):
        print(f"{kind:55}" + "  ".join(f"{outcomes[kind, how]:5} {how}" for how in ("read", "refused", "fault")))
    sys.exit(1 if faults else 0)


if __name__ == "__main__":
    main()
