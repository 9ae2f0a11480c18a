"""Paths of the bundled files. They lie beside the package in a checkout, and inside it once installed from a wheel."""

from pathlib import Path

_PACKAGE = Path(__file__).parent.parent
ASSETS = _PACKAGE / "assets" if (_PACKAGE / "assets").is_dir() else _PACKAGE.parent / "assets"
DEMO_MODEL = ASSETS / "demo_model"
DEMO_CLIPS = ASSETS / "demo_clips"
DEMO_RECORDING = ASSETS / "demo_recording"
DEMO_AUDIO = DEMO_RECORDING / "recording.opus"
