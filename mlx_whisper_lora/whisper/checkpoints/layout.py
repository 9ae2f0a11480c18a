"""The layouts of models on disk: the names of files, and of weights in OpenAI's checkpoints.

Nothing here imports MLX, so that scripts that know only NumPy or PyTorch can use it.
"""

CONFIG_FILE = "config.json"
GENERATION_CONFIG_FILE = "generation_config.json"
PREPROCESSOR_FILE = "preprocessor_config.json"
PT_SUFFIX = ".pt"
WEIGHT_FILES = ("weights.safetensors", "model.safetensors", "weights.npz")
HF_WEIGHT_FILES = ("model.safetensors",)
INDEX_FILE = "model.safetensors.index.json"  # maps each weight to one of several files
ALIGNMENT_HEADS = "alignment_heads"  # an array among the weights of mlx-community's folders

# Layers of an MLP: openai-whisper's names and ours.
_OPENAI_PARTS = {".mlp.0.": ".mlp1.", ".mlp.2.": ".mlp2."}
_CONVOLUTIONS = ("encoder.conv1.weight", "encoder.conv2.weight")


def from_openai(name: str) -> str:
    """Return our name of a weight that OpenAI's checkpoints call `name`."""
    for theirs, ours in _OPENAI_PARTS.items():
        name = name.replace(theirs, ours)
    return name


def to_openai(name: str) -> str:
    """Return the name in OpenAI's checkpoints of a weight that we call `name`."""
    for theirs, ours in _OPENAI_PARTS.items():
        name = name.replace(ours, theirs)
    return name


def swap_kernel(name: str, array):
    """Turn the kernel of a convolution from PyTorch's layout (out, in, kernel) into MLX's (out, kernel, in), or back.

    Args:
        name: our name of the weight. Other arrays than kernels are returned unchanged.
        array: a NumPy, MLX or PyTorch array.
    """
    return array.swapaxes(1, 2) if name in _CONVOLUTIONS and array.ndim == 3 else array
