"""Serving the page, to this machine alone unless another address is given. Nothing else of the network is used."""

import errno
import importlib.util
import os
import socket
import tempfile
import threading
import time

from mlx_whisper_lora.studio_page.transcribing import Transcriber
from mlx_whisper_lora.whisper.option import OptionError
from mlx_whisper_lora.whisper.terminal import say

FIRST_PORT = 7860  # as of other Gradio pages
_MOST_PORTS = 100
_PATIENCE = 10.0  # seconds for the window that is being computed when the page ends
_ENVIRONMENT = {"GRADIO_ANALYTICS_ENABLED": "False", "GRADIO_RUN_HISTORY": "False", "GRADIO_SSR_MODE": "False"}


def check_gradio() -> None:
    """Raise ValueError if Gradio is not installed."""
    if importlib.util.find_spec("gradio") is None:
        raise ValueError("the page requires Gradio: run pip install 'mlx_whisper_lora[studio]'")


def listen(host: str, port: int | None) -> socket.socket:
    """Return a socket that listens.

    Args:
        host: an address of this machine, or its name.
        port: None for the first free one from FIRST_PORT on, 0 for any free one.

    Raises:
        OptionError: the port is taken, or the address is not one of this machine.
    """
    ports = range(FIRST_PORT, FIRST_PORT + _MOST_PORTS) if port is None else [port]
    for each in ports:
        try:
            family = socket.getaddrinfo(host, each, type=socket.SOCK_STREAM)[0][0]
            return socket.create_server((host, each), family=family)
        except OSError as error:
            if error.errno != errno.EADDRINUSE:
                raise OptionError(f"`host` {host}: this machine cannot listen there ({error.strerror})") from None
    raise OptionError(f"`port` {ports[-1]} is in use: give another one")


def serve(transcriber: Transcriber, title: str, listener: socket.socket) -> None:
    """Serve the page until a signal stops the program. Recordings and subtitles are in a folder that is deleted then.

    Args:
        transcriber: the models, and how to transcribe.
        title: a line that names the models.
        listener: a socket of `listen`.
    """
    with tempfile.TemporaryDirectory(prefix="studio-", ignore_cleanup_errors=True) as folder:
        os.environ.update(_ENVIRONMENT, GRADIO_TEMP_DIR=folder)
        import uvicorn  # here and below, because Gradio reads the environment when it is imported

        from mlx_whisper_lora.studio_page.page import build_app

        server = uvicorn.Server(uvicorn.Config(build_app(transcriber, title), log_level="warning"))
        thread = threading.Thread(target=server.run, kwargs={"sockets": [listener]}, daemon=True)
        thread.start()
        try:
            while thread.is_alive() and not server.started:
                time.sleep(0.05)
            host, port = listener.getsockname()[:2]
            say(f"Open http://{f'[{host}]' if ':' in host else host}:{port} (Control-C ends it)")
            thread.join()
            raise RuntimeError("the web server has ended by itself")
        finally:
            transcriber.finish(_PATIENCE)  # the threads end with the program, and must not be in MLX then
