"""ffmpeg reads the file that it is given, and no other, and ends with this process."""

import contextlib
import os
import shutil
import signal
import subprocess
import time

import numpy as np
import pytest
import soundfile

from mlx_whisper_lora.whisper.audio.errors import AudioError
from mlx_whisper_lora.whisper.audio.load import load_audio
from tests.support.processes import fake_ffmpeg, start_python

PLAYLISTS = {
    "list.m3u8": "#EXTM3U\n#EXT-X-TARGETDURATION:10\n#EXTINF:10,\nsecret.wav\n#EXT-X-ENDLIST\n",
    "list.ffconcat": "ffconcat version 1.0\nfile secret.wav\n",
    "list.wav": "ffconcat version 1.0\nfile secret.wav\n",
    "list.sdp": "v=0\no=- 0 0 IN IP4 127.0.0.1\ns=x\nc=IN IP4 127.0.0.1\nt=0 0\nm=audio 5004 RTP/AVP 0\n",
    "list.mpd": '<?xml version="1.0"?><MPD xmlns="urn:mpeg:dash:schema:mpd:2011" type="static" '
    'mediaPresentationDuration="PT10S" profiles="urn:mpeg:dash:profile:isoff-main:2011"><Period><AdaptationSet '
    'mimeType="audio/wav"><Representation id="1" bandwidth="1"><BaseURL>secret.wav</BaseURL></Representation>'
    "</AdaptationSet></Period></MPD>",
}


@pytest.mark.skipif(shutil.which("ffmpeg") is None, reason="needs ffmpeg")
@pytest.mark.parametrize("name", PLAYLISTS)
def test_a_playlist_is_not_followed(tmp_path, monkeypatch, name):
    monkeypatch.chdir(tmp_path)
    soundfile.write("secret.wav", np.zeros(160_000, np.int16), 16000)
    (tmp_path / name).write_text(PLAYLISTS[name])
    for source in (name, PLAYLISTS[name].encode()):
        with pytest.raises(AudioError, match="a playlist or another file that is not a recording itself"):
            load_audio(source)


def test_ffmpeg_may_open_no_other_protocol_or_playlist(tmp_path, monkeypatch):
    monkeypatch.setenv("PATH", fake_ffmpeg(tmp_path, f'echo "$@" > {tmp_path}/arguments; head -c 100 /dev/zero'))
    load_audio(b"not audio")
    arguments = (tmp_path / "arguments").read_text().split()
    assert arguments[arguments.index("-protocol_whitelist") + 1] == "file,subfile"
    formats = arguments[arguments.index("-format_whitelist") + 1].split(",")
    assert {"mov", "matroska", "aac", "asf"} <= set(formats)
    assert not {"hls", "dash", "concat", "sdp", "rtsp", "image2", "imf", "lavfi", "webm_dash_manifest"} & set(formats)


@pytest.mark.slow
@pytest.mark.parametrize(
    ("stop", "script"),
    [
        (signal.SIGKILL, "exec cat /dev/zero"),
        (signal.SIGTERM, "exec cat /dev/zero"),
        (signal.SIGINT, "head -c 200000 /dev/zero; exec sleep 1000"),
        (signal.SIGINT, "head -c 200000 /dev/zero; exec sleep 1000 >&-"),  # it hangs after the last samples
    ],
)
def test_ffmpeg_ends_with_this_process(tmp_path, stop, script):
    path = fake_ffmpeg(tmp_path, f"echo $$ > {tmp_path}/id; {script}")
    program = (
        "from mlx_whisper_lora.whisper.audio.load import audio_blocks\n"
        "for block in audio_blocks(b'not audio'):\n"
        "    print(flush=True)\n"
    )
    process = start_python("-c", program, PATH=path)
    assert process.stdout
    process.stdout.readline()
    ffmpeg = int((tmp_path / "id").read_text())
    for _ in range(10):  # a signal just before Python waits for ffmpeg is seen with the next one
        process.send_signal(stop)
        with contextlib.suppress(subprocess.TimeoutExpired):
            process.communicate(timeout=10)
            break
    for _ in range(300):
        if not is_running(ffmpeg):
            return
        time.sleep(0.1)
    pytest.fail("ffmpeg still runs")


def is_running(process: int) -> bool:
    try:
        os.kill(process, 0)
    except ProcessLookupError:
        return False
    return True
