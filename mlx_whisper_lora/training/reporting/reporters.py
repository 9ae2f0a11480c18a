"""Where the numbers of a run can go, by name."""

from collections.abc import Callable
from os import PathLike

from mlx_whisper_lora.training.callbacks import Callback
from mlx_whisper_lora.training.reporting.metrics_file import MetricsFile
from mlx_whisper_lora.training.reporting.tensorboard import TensorBoard
from mlx_whisper_lora.training.reporting.weights_and_biases import WeightsAndBiases

# Each takes the file of the adapter.
REPORTERS: dict[str, Callable[[str | PathLike], Callback]] = {
    "jsonl": MetricsFile,
    "tensorboard": TensorBoard,
    "wandb": WeightsAndBiases,
}
