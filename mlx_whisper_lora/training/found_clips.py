"""Load the clips of all data folders of a run."""

from mlx_whisper_lora.data.clip import SPLITS, DataError, Splits
from mlx_whisper_lora.data.sources import check_options_used, load_clips, unused_tables
from mlx_whisper_lora.training.callbacks import Callback, ClipsFound
from mlx_whisper_lora.training.run_options import RunOptions


def load_all_clips(options: RunOptions, callback: Callback, bad: list[DataError]) -> Splits:
    """Return the clips of all data folders.

    Args:
        options: the folders, and how they are read.
        callback: gets what is found in each.
        bad: gets an error for each row that cannot be used, which is skipped.

    Raises:
        DataError: a folder cannot be read.
        OptionError: an option is for another kind of data.
    """
    clips: Splits = {split: [] for split in SPLITS}
    for each in options.folders:
        found = each.weigh(load_clips(each.folder, bad, options.sources, options.hub))
        unused = unused_tables(each.folder)
        callback.clips(ClipsFound(each.folder, options.bundled, found, unused, each.weight))
        for split in SPLITS:
            clips[split] += found[split]
    check_options_used([each.folder for each in options.folders], options.sources, options.hub)
    return clips
