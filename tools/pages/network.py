"""Take the picture of a network for the README: base, with LoRA in the last four blocks.

    python -m tools.pages.network            # writes docs/network.png

Needs the extra `pages` and a Chromium. The weights of base are not needed: only their shapes are drawn.
"""

import argparse
import tempfile
from pathlib import Path

from mlx_whisper_lora.adapters.inject import add_adapter
from mlx_whisper_lora.adapters.lora import LoRAConfig
from mlx_whisper_lora.explanation.network.write import write_network
from mlx_whisper_lora.whisper.model.whisper import DIMENSIONS, Whisper
from tools.pages.browser import open_page

VIEW = {"viewport": {"width": 1160, "height": 900}, "color_scheme": "light"}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--output", type=Path, default=Path("docs/network.png"))
    output = parser.parse_args().output
    model = Whisper(DIMENSIONS["base"])
    add_adapter(model, LoRAConfig(layers=4))
    with tempfile.TemporaryDirectory() as folder:
        page_file = write_network(model, "base with LoRA", folder)[1]
        with open_page(page_file.as_uri(), **VIEW) as page:
            page.evaluate("document.getElementById('chosen').remove()")  # it would cover a part of the drawing
            page.locator("svg").screenshot(path=output)


if __name__ == "__main__":
    main()
