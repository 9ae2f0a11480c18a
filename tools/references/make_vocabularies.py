"""Take Whisper's two vocabularies and its list of spellings out of the openai-whisper package on PyPI, into assets/.

    python -m tools.references.make_vocabularies

The files are data (byte-pair merges, one "base64-token rank" a line; British words with their American spelling),
published under the MIT license; see assets/NOTICES.md. Their checksums are fixed here, so that a changed release is
refused. Needs pip and the network.
"""

import hashlib
import subprocess
import sys
import tarfile
import tempfile
from pathlib import Path

PACKAGE = "openai-whisper==20250625"
# Name of each of the package's files in assets/, and its SHA-256.
FILES = {
    "gpt2.tiktoken": (
        "gpt2.tiktoken",
        "306cd27f03c1a714eca7108e03d66b7dc042abe8c258b44c199a7ed9838dd930",
    ),
    "multilingual.tiktoken": (
        "multilingual.tiktoken",
        "b34b360dbb493e781e479794586d661700670d65564001f23024971d1f2fa126",
    ),
    "english.json": (
        "english_spellings.json",
        "6607f948be9824d2e1b2fa2223cd94c06c45afa4e05ea0e3d5e1f2bdffde2465",
    ),
}
ASSETS = Path(__file__).parents[2] / "assets"


def main() -> None:
    with tempfile.TemporaryDirectory() as folder:
        subprocess.run(
            [
                sys.executable,
                "-m",
                "pip",
                "download",
                PACKAGE,
                "--no-deps",
                "--no-binary",
                ":all:",
                "--no-build-isolation",
                "--quiet",
                "--dest",
                folder,
            ],
            check=True,
        )
        (archive,) = Path(folder).glob("*.tar.gz")
        with tarfile.open(archive) as tar:
            for member in tar.getmembers():
                name = Path(member.name).name
                if name not in FILES:
                    continue
                asset, expected = FILES[name]
                stream = tar.extractfile(member)
                assert stream is not None
                content = stream.read()
                digest = hashlib.sha256(content).hexdigest()
                if digest != expected:
                    sys.exit(f"{name} in {PACKAGE} has SHA-256 {digest}, expected {expected}; it was not written")
                (ASSETS / asset).write_bytes(content)
                print(f"{ASSETS / asset}: {len(content):,} bytes, {digest}")


if __name__ == "__main__":
    main()
