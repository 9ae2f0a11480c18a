"""Change bytes at random."""

import io
import re
import zipfile
from collections.abc import Callable

import numpy as np

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
