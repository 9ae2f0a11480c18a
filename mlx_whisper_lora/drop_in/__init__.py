"""The module paths of openai-whisper and mlx-whisper.

The package looks for its modules here too (`__path__` in `mlx_whisper_lora/__init__.py`), so `mlx_whisper_lora.audio`
is the file `audio.py` of this folder. `sys.modules["whisper"] = mlx_whisper_lora` gives a program that imports
`whisper` and `whisper.audio` this package instead.
"""
