"""Write assets/alignment_heads.json: the cross-attention heads of each published Whisper that follow the words.

    python -m tools.references.make_alignment_heads

Needs openai-whisper 20250625, which `make parity` installs. It ships the heads as compressed masks of (decoder layers,
heads); here they are [layer, head] pairs.
"""

import base64
import gzip
import json
from pathlib import Path

import numpy as np
from whisper import _ALIGNMENT_HEADS

ASSET = Path(__file__).parents[2] / "assets" / "alignment_heads.json"
HEADS = {"tiny": 6, "base": 8, "small": 12, "medium": 16, "large": 20}
OTHER_NAMES = ("large", "turbo")  # second names of large-v3 and large-v3-turbo


def main() -> None:
    lines = []
    for name, mask in _ALIGNMENT_HEADS.items():
        if name in OTHER_NAMES:
            continue
        size = name.split(".")[0].split("-")[0]
        heads = np.frombuffer(gzip.decompress(base64.b85decode(mask)), dtype=bool).reshape(-1, HEADS[size])
        lines.append(f'"{name}": {json.dumps(np.argwhere(heads).tolist())}')
    ASSET.write_text("{\n" + ",\n".join(lines) + "\n}\n", encoding="utf-8")
    print(f"{ASSET}: {len(lines)} models")


if __name__ == "__main__":
    main()
