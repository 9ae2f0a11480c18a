"""OpenBLAS for MLX's matrix products on Linux.

The Linux wheel of MLX links the reference BLAS of netlib, which multiplies matrices about 25 times slower than the
machine can. SciPy's wheel, on which this package depends, contains OpenBLAS under prefixed names (`scipy_cblas_sgemm`)
with the C signatures that MLX calls. `use_fast_blas` routes MLX's calls to it: the dynamic linker reaches an external
function through a slot in the library's global offset table, and the slot is rewritten. This needs no compiler, no
administrator rights and no file.
"""

import ctypes
import ctypes.util
import functools
import mmap
import struct
import sys
import warnings
from collections.abc import Iterator
from pathlib import Path

_ROUTINES = ("cblas_sgemm", "cblas_dgemm", "cblas_cgemm")
_ADVICE = (
    "mlx_whisper_lora: no fast BLAS was found, so matrix products on this CPU are about 25 times slower than "
    "they could be. Install SciPy from PyPI (pip install --force-reinstall scipy) or Debian's libopenblas0."
)


@functools.cache
def use_fast_blas() -> str | None:
    """Route MLX's matrix products to OpenBLAS.

    If no OpenBLAS is found, a warning names the package to install.

    Returns:
        The path of the library that is used, or None if nothing was changed: the system is not Linux, MLX does not
        import BLAS routines, or no OpenBLAS was found.
    """
    if not sys.platform.startswith("linux"):
        return None
    mlx_library = _loaded_library("libmlx.so")
    if mlx_library is None:
        return None
    path, base_address = mlx_library
    slots = _import_slots(path, _ROUTINES)
    if not slots:
        return None
    openblas = _find_openblas()
    if openblas is None:
        warnings.warn(_ADVICE, RuntimeWarning, stacklevel=2)
        return None
    library, prefix = openblas
    for routine, offset in slots.items():
        _write_pointer(base_address + offset, ctypes.cast(library[prefix + routine], ctypes.c_void_p).value or 0)
    return library._name


def _find_openblas() -> tuple[ctypes.CDLL, str] | None:
    """Load an OpenBLAS with 32-bit integers: SciPy's own, or the system's. Return it with the prefix of its names."""
    for name, prefix in _openblas_candidates():
        try:
            library = ctypes.CDLL(name)
            for routine in _ROUTINES:
                library[prefix + routine]
        except (OSError, AttributeError):
            continue
        return library, prefix
    return None


def _openblas_candidates() -> Iterator[tuple[str, str]]:
    """Yield file names and prefixes. The slowest search, which starts other programs, comes last."""
    import scipy

    folder = Path(scipy.__file__).parent.parent / "scipy.libs"
    yield from ((str(path), "scipy_") for path in sorted(folder.glob("libscipy_openblas-*")))
    yield "libopenblas.so.0", ""
    if name := ctypes.util.find_library("openblas"):
        yield name, ""


def _loaded_library(name: str) -> tuple[str, int] | None:
    """Return the path and the base address of a shared library of this process."""
    for line in Path("/proc/self/maps").read_text().splitlines():
        fields = line.split(maxsplit=5)
        if len(fields) == 6 and fields[5].endswith("/" + name) and int(fields[2], 16) == 0:
            return fields[5], int(fields[0].split("-")[0], 16)
    return None


def _import_slots(path: str, names: tuple[str, ...]) -> dict[str, int]:
    """Return the offsets of the pointers through which an ELF64 library calls the imported functions `names`.

    Each relocation in the file names a symbol and the place of its address (System V ABI, "Object Files").
    """
    data = Path(path).read_bytes()
    section_table, entry_size, count = *struct.unpack_from("<Q", data, 0x28), *struct.unpack_from("<HH", data, 0x3A)
    # name, type, flags, address, offset, size, link, info, alignment, entry size
    sections = [struct.unpack_from("<IIQQQQIIQQ", data, section_table + i * entry_size) for i in range(count)]
    slots = {}
    for _, kind, _, _, offset, size, link, _, _, _ in sections:
        if kind != 4:  # SHT_RELA
            continue
        symbols, strings = sections[link], sections[sections[link][6]]
        for place, info, _ in struct.iter_unpack("<QQq", data[offset : offset + size]):
            if info >> 32 == 0:
                continue
            (name_offset,) = struct.unpack_from("<I", data, symbols[4] + (info >> 32) * 24)
            start = strings[4] + name_offset
            name = data[start : data.index(b"\0", start)].decode()
            if name in names:
                slots[name] = place
    return slots


def _write_pointer(address: int, value: int) -> None:
    """Store `value` at `address`, and make the page writable first: the linker may have made it read-only (RELRO)."""
    page = mmap.PAGESIZE
    libc = ctypes.CDLL(None, use_errno=True)
    first = address - address % page
    if libc.mprotect(ctypes.c_void_p(first), ctypes.c_size_t(page), 1 | 2) != 0:  # PROT_READ | PROT_WRITE
        raise OSError(ctypes.get_errno(), "mprotect of MLX's offset table failed")
    ctypes.c_void_p.from_address(address).value = value
