"""The tab that transcribes: record or choose a file, read the transcript, and compare base and adapter."""

import tempfile
import time
from collections.abc import Collection, Iterator
from html import escape
from pathlib import Path
from typing import Any

import gradio as gr

from mlx_whisper_lora.adapters.strength import MOST_STRENGTH
from mlx_whisper_lora.studio_page.transcribing import Request, Step, Transcriber
from mlx_whisper_lora.studio_page.transcript import find_differences, transcript_html, word_rows
from mlx_whisper_lora.whisper.errors import one_line
from mlx_whisper_lora.whisper.text.languages import language_name
from mlx_whisper_lora.whisper.text.tokenizer import TASKS
from mlx_whisper_lora.whisper.transcription.writers import write_result

_DETECT = ""  # in the list of languages
_HEADERS = ["word", "start", "end"]
_SUBTITLES = ("srt", "vtt")


class _Column:
    """The transcript of a model, its words with their times, and its subtitles."""

    def __init__(self, title: str):
        self.title = title
        with gr.Column():
            gr.Markdown(f"### {title}")
            self.text = gr.HTML(elem_classes="transcript")
            with gr.Row():
                self.files = [gr.DownloadButton(each.upper(), size="sm", interactive=False) for each in _SUBTITLES]
            self.words = gr.Dataframe(
                headers=_HEADERS,
                interactive=False,
                label="Words, with start and end in seconds",
                column_widths=["50%", "25%", "25%"],
            )

    def cleared(self) -> dict[Any, Any]:
        return {
            self.text: "",
            self.words: [],
            **{file: gr.DownloadButton(value=None, interactive=False) for file in self.files},
        }

    def finished(self, result: dict, recording: str) -> dict[Any, Any]:
        folder = tempfile.mkdtemp(dir=Path(recording).parent)  # which is deleted with the recording, at the end
        paths = [write_result(result, folder, Path(recording).stem, each)[0] for each in _SUBTITLES]
        return {
            self.words: word_rows(result),
            **{
                file: gr.DownloadButton(value=path, interactive=True)
                for file, path in zip(self.files, paths, strict=True)
            },
        }


class TranscribeTab:
    """The tab, in the page that is being built.

    Args:
        transcriber: the models, and how to transcribe.
    """

    def __init__(self, transcriber: Transcriber):
        self.transcriber = transcriber
        models, options = transcriber.models, transcriber.options
        with gr.Tab("Transcribe"):
            with gr.Row():
                self.recording = gr.Audio(
                    sources=["microphone", "upload"], type="filepath", label="Recording", buttons=["download"]
                )
                with gr.Column():
                    names = sorted((language_name(code), code) for code in models.languages)
                    self.language = gr.Dropdown(
                        [("Detect", _DETECT), *names],
                        value=options.language if names and options.language else _DETECT,
                        label="Language",
                        visible=bool(names),
                    )
                    self.task = gr.Radio(
                        [(each.capitalize(), each) for each in TASKS],
                        value=options.task,
                        label="Task",
                        visible=bool(names),
                    )
                    self.strength = gr.Slider(
                        0,
                        MOST_STRENGTH,
                        value=models.strength,
                        step=0.05,
                        label="Strength of the adapter",
                        visible=models.takes_strength,
                    )
                    with gr.Row():
                        start = gr.Button("Transcribe", variant="primary")
                        cancel = gr.Button("Cancel")
            self.status = gr.HTML()
            titles = ["Base", "With the adapter"] if models.adapter else ["Transcript"]
            with gr.Row():
                self.columns = [_Column(title) for title in titles]
        outputs: list[Any] = [self.status]
        for column in self.columns:
            outputs += [column.text, column.words, *column.files]
        running = start.click(
            self._transcribe,
            [self.recording, self.language, self.task, self.strength],
            outputs,
            show_progress="hidden",
            concurrency_limit=1,
            trigger_mode="multiple",  # with "once", the button does nothing after one that was canceled
            api_name="transcribe",
        )
        cancel.click(lambda: "Canceled", None, self.status, cancels=running, api_visibility="private")

    def _transcribe(self, recording: str | None, language: str, task: str, strength: float) -> Iterator[dict[Any, Any]]:
        """Transcribe a recording, and yield what changes on the page."""
        if recording is None:
            raise gr.Error("Record something first, or choose a file.", print_exception=False)
        yield self._cleared("Reading the recording")
        request = Request(recording, language or None, task, strength)
        began = time.monotonic()
        results: list[dict] = [{}] * len(self.columns)
        try:
            for step in self.transcriber.steps(request):
                results[step.column] = step.result
                yield self._shown(step, recording)
        except (ValueError, OSError, FloatingPointError) as error:
            yield self._cleared("")
            message = one_line(error).replace(recording, Path(recording).name)
            raise gr.Error(escape(message), print_exception=False) from None
        changes: dict[Any, Any] = {self.status: f"Transcribed {step.seconds:.1f} s in {time.monotonic() - began:.1f} s"}
        if len(results) == 2:
            for column, result, marked in zip(self.columns, results, find_differences(*results), strict=True):
                changes[column.text] = _transcript(result, marked)
        if not any(result["text"].strip() for result in results):
            gr.Warning("Nothing was heard in this recording.")
        yield changes

    def _cleared(self, status: str) -> dict[Any, Any]:
        changes: dict[Any, Any] = {self.status: status}
        for column in self.columns:
            changes |= column.cleared()
        return changes

    def _shown(self, step: Step, recording: str) -> dict[Any, Any]:
        column = self.columns[step.column]
        status = f"{column.title}: {step.done:.0f} of {step.seconds:.0f} s"
        changes = {
            self.status: f'<progress value="{step.done}" max="{step.seconds}"></progress> {status}',
            column.text: _transcript(step.result),
        }
        return changes | column.finished(step.result, recording) if step.is_last else changes


def _transcript(result: dict, marked: Collection[int] = ()) -> str:
    return f"<p><small>{language_name(result['language'])}</small></p>\n{transcript_html(result, marked)}"
