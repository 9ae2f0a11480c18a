"""Make the numbers that tests/real compares whisper-base with: openai-whisper's transcripts of real recordings.

    python -m tools.references.make_real [name ...]

Needs the packages that `make parity` installs, those of the extra `base`, and the recordings in ../shared/data. Takes a
quarter of an hour on one core with OMP_NUM_THREADS=1 and NUMBA_NUM_THREADS=1. Writes tests/real/reference/: a JSON file
for each case, with the options beside the text, segments and word times. The audio is decoded by our reader, so both
sides transcribe the same samples. The weights are those of `load_model("base")`, in float32.
"""

import argparse
import json
import tempfile
from pathlib import Path

import torch
import whisper

from tools.real.base import write_base
from tools.real.recordings import recording, timed_transcript
from tools.references.theirs import base_whisper, transcribe

OUTPUT = Path(__file__).parents[2] / "tests" / "real" / "reference"
# Recording, its first seconds (None: all of it), language, beams.
CASES = {
    "jfk": ("speech/jfk.flac", None, "en", None),
    "jfk_beam": ("speech/jfk.flac", None, "en", 5),
    "english_minute": ("long_recordings/audio/long_00002.ogg", 60, "en", None),
    "french_minute": ("long_recordings/audio/long_00003.ogg", 60, "fr", None),
    "french": ("long_recordings/audio/long_00003.ogg", None, "fr", None),
    "english_book": ("long_recordings/audio/long_00002.ogg", None, "en", None),
    "english_voices": ("long_recordings/audio/long_00001.ogg", None, "en", None),
    "french_beam": ("long_recordings/audio/long_00003.ogg", None, "fr", 5),
    "english_book_beam": ("long_recordings/audio/long_00002.ogg", None, "en", 5),
    "english_voices_beam": ("long_recordings/audio/long_00001.ogg", None, "en", 5),
}


def case(model: whisper.Whisper, name: str) -> dict:
    """Transcribe a recording at temperature 0 alone: samples cannot be compared."""
    file, seconds, language, beam_size = CASES[name]
    options = {"language": language, "beam_size": beam_size, "temperature": 0.0, "word_timestamps": True}
    result = transcribe(model, recording(file, seconds), **options)
    return {"file": file, "seconds": seconds, "options": options, "transcript": timed_transcript(result)}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.split("\n\n")[0])
    parser.add_argument("names", nargs="*", metavar="name", help=f"which of {', '.join(CASES)} (default: all)")
    args = parser.parse_args()
    torch.set_num_threads(1)  # the order of sums, and so the last digits, depends on it
    OUTPUT.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory() as folder:
        write_base(Path(folder))
        model = base_whisper(Path(folder))
    for name in args.names or CASES:
        path = OUTPUT / f"{name}.json"
        text = json.dumps(case(model, name), ensure_ascii=False, separators=(",", ":"))
        path.write_text(text + "\n", encoding="utf-8")
        print(f"{path.stat().st_size:8d} bytes  {path}", flush=True)


if __name__ == "__main__":
    main()
