"""The layouts of models on disk: the names of files, and of weights in OpenAI's checkpoints.

This module does not import MLX, so that scripts with only NumPy or PyTorch can use it.
"""

CONFIG_FILE = "config.json"
GENERATION_CONFIG_FILE = "generation_config.json"
PREPROCESSOR_FILE = "preprocessor_config.json"
PROCESSOR_FILE = "processor_config.json"  # has the same settings since transformers 5
# Files that name tokens, of transformers and of CTranslate2.
TOKENIZER_FILES = (
    "added_tokens.json",
    "tokenizer.json",
    "tokenizer_config.json",
    "vocab.json",
    "vocabulary.json",
    "vocabulary.txt",
)
PT_SUFFIX = ".pt"
GGML_SUFFIX = ".bin"  # whisper.cpp's files are called ggml-base.bin
GGML_FILE = "ggml-model.bin"
CTRANSLATE2_FILE = "model.bin"
HF_WEIGHT_FILE = "model.safetensors"
INDEX_SUFFIX = ".index.json"  # of a file that maps each weight to one of several files
# The files that may hold the weights, in the order in which they are looked for. The first one is written.
WEIGHT_FILES = ("weights.safetensors", HF_WEIGHT_FILE, "weights.npz", HF_WEIGHT_FILE + INDEX_SUFFIX)
SHARD_PATTERN = "model-*-of-*.safetensors"  # the names of several files
# Older weights of transformers, written by torch.save.
TORCH_WEIGHT_FILES = ("pytorch_model.bin", "pytorch_model.bin" + INDEX_SUFFIX)
TORCH_SHARD_PATTERN = "pytorch_model-*-of-*.bin"
ALIGNMENT_HEADS = "alignment_heads"  # an array among the weights of mlx-community's folders
ENCODER_POSITIONS = "encoder.positional_embedding"  # stored by OpenAI and transformers, computed by our encoder
MLX_ENCODER_POSITIONS = "encoder._positional_embedding"  # trained ones, under the name that mlx-whisper takes them by
TOKEN_EMBEDDING = "decoder.token_embedding"

# Parts of the names of an MLP's layers: openai-whisper's and ours.
_OPENAI_PARTS = {".mlp.0.": ".mlp1.", ".mlp.2.": ".mlp2."}
_CONVOLUTIONS = ("encoder.conv1.weight", "encoder.conv2.weight")
_KERNEL_WIDTH = 3


def from_openai(name: str) -> str:
    """Return our name of a weight: "...mlp.0.weight" -> "...mlp1.weight"."""
    for theirs, ours in _OPENAI_PARTS.items():
        name = name.replace(theirs, ours)
    return ENCODER_POSITIONS if name == MLX_ENCODER_POSITIONS else name


def to_openai(name: str) -> str:
    """Return the name of a weight in OpenAI's checkpoints: "...mlp1.weight" -> "...mlp.0.weight"."""
    for theirs, ours in _OPENAI_PARTS.items():
        name = name.replace(ours, theirs)
    return name


def swap_kernel(name: str, array):
    """Swap the layout of a convolution's kernel: PyTorch's (out, in, kernel) and MLX's (out, kernel, in).

    Args:
        name: our name of the weight. Arrays other than kernels are returned unchanged.
        array: a NumPy, MLX or PyTorch array.
    """
    return array.swapaxes(1, 2) if name in _CONVOLUTIONS and array.ndim == 3 else array


def stored_kernel(name: str, array):
    """Return the kernel of a convolution in MLX's layout, whichever of the two layouts it is stored in.

    Args:
        name: our name of the weight. Arrays other than kernels are returned unchanged.
        array: the stored array. Its axis of length 3 is the kernel's.
    """
    return array if array.ndim == 3 and array.shape[1] == _KERNEL_WIDTH else swap_kernel(name, array)
