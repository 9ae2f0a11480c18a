"""The page: its tabs, a file each."""

from html import escape

import gradio as gr
from fastapi import FastAPI

from mlx_whisper_lora.studio_page.transcribe_tab import TranscribeTab
from mlx_whisper_lora.studio_page.transcribing import Transcriber

# Of the system of the browser: none is downloaded.
_FONT, _MONO_FONT = ("system-ui", "sans-serif"), ("ui-monospace", "monospace")
_KEPT = (3600, 24 * 3600)  # seconds between deletions of recordings, and until they are old enough
_CSS = ".html-container { padding: 0; } .transcript { font-size: 1.1rem; overflow-wrap: anywhere; }"


def build_app(transcriber: Transcriber, title: str) -> FastAPI:
    """Return a web application with the page at its root.

    Args:
        transcriber: the models, and how to transcribe.
        title: a line that names the models.
    """
    with gr.Blocks(title="mlx_whisper_lora", analytics_enabled=False, delete_cache=_KEPT) as page:
        gr.HTML(f"<h1>mlx_whisper_lora</h1>\n<p>{escape(title)}</p>")
        TranscribeTab(transcriber)
    theme = gr.themes.Default(font=_FONT, font_mono=_MONO_FONT)
    return gr.mount_gradio_app(FastAPI(), page, path="/", footer_links=[], show_error=False, theme=theme, css=_CSS)
