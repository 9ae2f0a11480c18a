"""Pages in Chromium, whose microphone plays a file: for tests and screenshots.

Needs the extra `pages`, and Debian's Chromium or Playwright's own.
"""

import contextlib
import re
import shutil
import signal
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

from playwright.sync_api import Page, Response, sync_playwright

ROOT = Path(__file__).parents[2]
_PLAYS_FILE = ("--use-fake-ui-for-media-stream", "--use-fake-device-for-media-stream")


@contextlib.contextmanager
def serve_studio(*arguments: str | Path) -> Iterator[str]:
    """Run the command `studio` on a free port, and yield the address of its page.

    In the end Control-C stops it. It may print nothing but the address and that it was interrupted.
    """
    command = [sys.executable, "-m", "mlx_whisper_lora.studio", "--port", "0", *map(str, arguments)]
    with subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, cwd=ROOT) as process:
        assert process.stdout is not None
        line = process.stdout.readline()
        try:
            yield line.removeprefix("Open ").split()[0]
        finally:
            process.send_signal(signal.SIGINT)
            more, errors = process.communicate(timeout=60)
    end = (process.returncode, more, errors)
    assert end == (130, "", "\nmlx_whisper_lora.studio: interrupted\n"), end


@contextlib.contextmanager
def open_chromium(address: str, microphone: Path | None = None, **view: object) -> Iterator[Page]:
    """Open the page of `studio`.

    Args:
        address: its address.
        microphone: a WAV file that the microphone plays once, from the moment that it is opened.
        view: the view of the browser, such as `color_scheme`.

    Raises:
        FileNotFoundError: there is no Chromium.
    """
    flags = [*_PLAYS_FILE, f"--use-file-for-fake-audio-capture={microphone}%noloop"] if microphone else []
    with open_page(address, *flags, **view) as page:
        page.get_by_role("button", name="Transcribe").wait_for()
        yield page


@contextlib.contextmanager
def open_page(address: str, *flags: str, asked: list[str] | None = None, **view: object) -> Iterator[Page]:
    """Open any page in Chromium, started with flags. `asked` gets the addresses that the page asks for.

    Raises:
        FileNotFoundError: there is no Chromium.
    """
    with sync_playwright() as playwright:
        own = playwright.chromium.executable_path
        program = shutil.which("chromium") or (own if Path(own).exists() else None)
        if program is None:
            raise FileNotFoundError("no Chromium: run apt-get install chromium, or playwright install chromium")
        browser = playwright.chromium.launch(executable_path=program, args=["--no-sandbox", *flags])
        page = browser.new_page(**view)
        if asked is not None:
            page.on("request", lambda request: asked.append(request.url))
        page.goto(address)
        yield page
        browser.close()


def record(page: Page, seconds: float) -> None:
    """Record with the microphone."""
    page.get_by_role("button", name="Record", exact=True).click()
    page.wait_for_timeout(1000 * seconds)
    with page.expect_response(_is_upload):
        page.get_by_role("button", name="Stop", exact=True).click()
    page.get_by_label("Play", exact=True).wait_for()


def choose_file(page: Page, recording: Path) -> None:
    """Choose a file for the recording to transcribe."""
    page.get_by_label("Upload file").click()
    with page.expect_response(_is_upload):
        page.locator("input[type=file]").first.set_input_files(recording)
    page.get_by_label("Play", exact=True).wait_for()


def _is_upload(response: Response) -> bool:
    return "/gradio_api/upload" in response.url


def transcribe(page: Page) -> None:
    """Let the recording be transcribed, and wait for the end."""
    page.get_by_role("button", name="Transcribe").click()
    page.get_by_text(re.compile(r"^Transcribed [\d.]+ s in")).wait_for()
