"""Lets the tests here import `seeded` and `port`, and gives MLX a fast BLAS on Linux, as for tests/whisper."""

import sys
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parent.parent / "whisper"))

from mlx_whisper_lora.whisper.cpu import use_fast_blas

use_fast_blas()
