"""Print the seconds a clip of a training step, as one of the processes that `mlx.launch` starts."""

from pathlib import Path

from mlx_whisper_lora.training.distributed import World
from tools.bench.tasks_ours import training

CLIPS = 4  # of each process


def main() -> None:
    world = World()
    clips = CLIPS * world.size
    seconds = training(clips=clips)(Path(), "float32")() / clips
    if world.speaks:
        print(seconds, flush=True)


if __name__ == "__main__":
    main()
