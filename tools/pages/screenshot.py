"""Take the screenshot of the README: the bundled model, and the adapter that `make demo` has trained for it.

    python -m tools.pages.screenshot            # writes docs/studio.png
    python -m tools.pages.screenshot --audio talk.wav --output talk.png --model base --adapter-file adapters.npz

Needs the extra `pages` and a Chromium. Arguments that it does not know go to the command `studio`.
"""

import argparse
import tempfile
from pathlib import Path

import soundfile

from mlx_whisper_lora.whisper.assets import DEMO_CLIPS
from mlx_whisper_lora.whisper.audio.constants import SAMPLE_RATE
from mlx_whisper_lora.whisper.audio.load import load_audio
from tools.pages.browser import choose_file, open_chromium, serve_studio, transcribe

CLIP = (32.2, 34.5)  # seconds in the bundled test clips: "the young boy wants this short knife"
VIEW = {"viewport": {"width": 1000, "height": 700}}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--audio", type=Path)
    parser.add_argument("--output", type=Path, default=Path("docs/studio.png"))
    given, studio = parser.parse_known_args()
    with tempfile.TemporaryDirectory() as folder:
        recording = given.audio or Path(folder) / "clip.wav"
        if given.audio is None:
            soundfile.write(recording, load_audio(DEMO_CLIPS / "test.opus", start=CLIP[0], end=CLIP[1]), SAMPLE_RATE)
        studio = studio or ["--model", "demo", "--adapter-file", "build/demo/adapters.npz"]
        with serve_studio(*studio) as address, open_chromium(address, **VIEW) as page:
            choose_file(page, recording)
            transcribe(page)
            page.get_by_role("heading", name="mlx_whisper_lora").click()  # no button is marked as the last one
            page.wait_for_timeout(1000)  # until the words are drawn
            page.screenshot(path=given.output, full_page=True)
            print(page.get_by_text("Transcribed").inner_text())


if __name__ == "__main__":
    main()
