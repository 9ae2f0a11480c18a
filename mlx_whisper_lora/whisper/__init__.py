"""Whisper on MLX."""

import os

# After a product, the threads of OpenBLAS wait for the next one at full speed, by default for 2^28 processor cycles.
# They take the cores from NumPy: attention takes half as long again. OpenBLAS reads this when SciPy loads it.
os.environ.setdefault("OPENBLAS_THREAD_TIMEOUT", "20")
