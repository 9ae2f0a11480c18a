"""Check the relatives of languages that Whisper lacks, RELATIVES in whisper/text/languages.py, by their families.

    pip install lang2vec==1.1.2
    python -m tools.references.relatives

lang2vec holds the URIEL database (Littell et al., 2017), with the families of each language from Glottolog and
Ethnologue. Prints how many relatives share as many families with the language as any language of Whisper does, and a
line for each other one.
"""

from importlib.util import find_spec
from pathlib import Path

import numpy as np

from mlx_whisper_lora.whisper.text.languages import LANGUAGES, OTHER_CODES, RELATIVES


def main() -> None:
    package = find_spec("lang2vec")
    if package is None or not package.submodule_search_locations:
        raise SystemExit("lang2vec is missing: pip install lang2vec==1.1.2")
    path = Path(package.submodule_search_locations[0]) / "data" / "family_features.npz"
    with np.load(path, allow_pickle=True) as file:  # from PyPI, not from a user
        families = dict(zip(file["langs"].tolist(), file["data"][:, :, 0] > 0, strict=True))

    def vectors(codes: list[str]) -> list[np.ndarray]:
        return [families[code] for code in codes if code in families]

    known = {
        code: vectors([code, *(other for other, ours in OTHER_CODES.items() if ours == code)]) for code in LANGUAGES
    }
    others = []
    for names, codes, relative in RELATIVES:
        own = vectors(codes.split())
        shared = {
            code: max((int((mine & theirs).sum()) for mine in own for theirs in found), default=0)
            for code, found in known.items()
        }
        most = max(shared.values())
        if most == 0 or shared[relative] < most:
            nearest = [code for code, count in shared.items() if count == most > 0]
            others.append(
                f"{names}: {relative} shares {shared[relative]} families, {nearest or 'none is known'} {most}"
            )
    print(f"{len(RELATIVES) - len(others)} of {len(RELATIVES)} are the nearest by family; the others:")
    print("\n".join(others))


if __name__ == "__main__":
    main()
