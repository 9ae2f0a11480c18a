"""Where the bundled files are: beside the package in a checkout, inside it once installed from a wheel."""

from pathlib import Path

PACKAGE = Path(__file__).parent.parent
ASSETS = PACKAGE / "assets" if (PACKAGE / "assets").is_dir() else PACKAGE.parent / "assets"
DEMO_MODEL = ASSETS / "demo_model"
DEMO_CLIPS = ASSETS / "demo_clips"
DEMO_RECORDING = ASSETS / "demo_recording"
