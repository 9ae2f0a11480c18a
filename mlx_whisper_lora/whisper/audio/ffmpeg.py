"""Decode a recording with the program ffmpeg.

ffmpeg opens the one file that it is given, and no other: playlists, manifests and image sequences are not among the
formats that it may read.
"""

import os
import subprocess
import tempfile
from collections.abc import Iterator
from pathlib import Path

import numpy as np

from mlx_whisper_lora.whisper.audio.parts import WITHIN_BLOCK, Part

_BLOCK = 2**17  # bytes
# Containers of one file. The others name further files (hls, dash, concat, sdp, image2) or are not recordings.
# fmt: off
_FORMATS = [
    "aac", "ac3", "act", "adx", "aea", "aiff", "amr", "amrnb", "amrwb", "apac", "ape", "asf", "ast", "au", "avi",
    "bonk", "caf", "dsf", "dss", "dts", "dtshd", "dv", "eac3", "ec3", "flac", "flv", "g722", "g726", "gsm", "gxf",
    "hcom", "iff", "ircam", "loas", "matroska", "mlp", "mov", "mp3", "mpc", "mpc8", "mpeg", "mpegts", "mxf",
    "nistsphere", "nsv", "nut", "ogg", "oma", "pvf", "qcp", "rm", "sds", "shn", "sox", "swf", "tak", "truehd",
    "tta", "voc", "vqf", "w64", "wav", "wsvqa", "wtv", "wv", "xa", "xwma",
]
# fmt: on


class FfmpegError(ValueError):
    """A failure of ffmpeg; the message says what was wrong with the file."""


def ffmpeg_blocks(program: str, path: Path, part: Part, sample_rate: int) -> Iterator[np.ndarray]:
    """Decode a part of a file in blocks: 16-bit samples, mixed to mono and resampled by ffmpeg.

    If this process ends in any way, ffmpeg ends too, when it next writes samples.

    Args:
        program: The path of ffmpeg.
        path: The file.
        part: The part of it.
        sample_rate: The rate of the blocks, in Hz.

    Yields:
        Float32 samples in [-1, 1], shape (n_samples,).

    Raises:
        FfmpegError: ffmpeg cannot decode the part.
    """
    url = f"subfile,,start,{part.start},end,{part.stop},,:file:{path}"
    command = [program, "-nostdin", "-v", "error", "-protocol_whitelist", "file,subfile"]
    command += ["-format_whitelist", ",".join(_FORMATS), "-i", url]
    command += ["-vn", "-f", "s16le", "-ac", "1", "-ar", str(sample_rate), "-"]
    with (
        tempfile.TemporaryFile() as messages,  # a pipe that nobody reads would fill up and stop ffmpeg
        subprocess.Popen(command, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=messages) as process,
    ):
        assert process.stdout is not None
        try:
            while data := process.stdout.read(_BLOCK):
                yield np.frombuffer(data[: len(data) // 2 * 2], dtype="<i2").astype(np.float32) / 32768
            code = process.wait()
        except BaseException:  # also raised here if the caller closes this generator early
            process.kill()
            raise
        # A damaged film fills megabytes with messages; the last ones are enough.
        messages.seek(max(messages.seek(0, os.SEEK_END) - 4096, 0))
        text = messages.read().decode(errors="replace")
        if code != 0:
            raise FfmpegError(_failure(text, url))
        if part.strict and text:
            raise FfmpegError(WITHIN_BLOCK)


def _failure(messages: str, url: str) -> str:
    if "does not contain any stream" in messages:
        return "there is no audio track in this file"
    if "not on whitelist" in messages:
        return "a playlist or another file that is not a recording itself; give the recordings that it names"
    last = messages.strip().rpartition("\n")[2].replace(f"{url}: ", "")
    return f"not a readable audio file (ffmpeg: {last or 'failed'})"
