"""This port beside openai-whisper and transformers on PyTorch, in one process with the same weights: `make parity`."""
