"""Take the screenshot of the page of `explain`.

    python -m tools.pages.screenshot_explain --model base --audio x.wav --words 2 --word fellow --method mask

Needs the extras `explain` and `pages` and a Chromium. Arguments that it does not know go to the command `explain`.
"""

import argparse
import subprocess
import sys
import tempfile
from pathlib import Path

from tools.pages.browser import open_page

VIEW = {"viewport": {"width": 1000, "height": 1030}}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--word", help="the word that is chosen on the page")
    parser.add_argument("--method", default="mask", help="the method that is chosen")
    parser.add_argument("--page", type=Path, help="a page that is there already, in the place of a new one")
    parser.add_argument("--output", type=Path, default=Path("docs/explain.png"))
    given, explain = parser.parse_known_args()
    with tempfile.TemporaryDirectory() as folder:
        if given.page is None:
            command = [sys.executable, "-m", "mlx_whisper_lora.explain", "--output-dir", folder, *explain]
            subprocess.run(command, check=True)
            (given.page,) = Path(folder).glob("*.html")
        with open_page(given.page.resolve().as_uri(), **VIEW) as page:
            if given.word:
                page.get_by_role("button", name=given.word, exact=True).click()
            page.get_by_role("button", name=given.method, exact=True).click()
            picture = page.locator("section:not([hidden]) .mel")
            picture.click(position={"x": 0.45 * picture.bounding_box()["width"], "y": 50})
            page.wait_for_timeout(1000)  # until the clip has moved
            page.screenshot(path=given.output)


if __name__ == "__main__":
    main()
