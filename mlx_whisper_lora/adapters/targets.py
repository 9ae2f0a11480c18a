"""The linear layers that an adapter can go to, by our names and by those that PEFT finds them by."""

from collections.abc import Sequence

from mlx_whisper_lora.whisper.option import OptionError

_ATTENTION = ("query", "key", "value", "out")
TARGETS = (
    *(f"attn.{name}" for name in _ATTENTION),
    *(f"cross_attn.{name}" for name in _ATTENTION),  # decoder only
    "mlp1",
    "mlp2",
)
# Those that a search chooses from: as in the paper on LoRA, all of attention, the perceptron, and all.
TARGET_SETS = (
    tuple(target for target in TARGETS if target.endswith(("query", "value"))),
    tuple(target for target in TARGETS if "attn" in target),
    ("mlp1", "mlp2"),
    TARGETS,
)
_ALL = "all-linear"
_PEFT = {"q_proj": "query", "k_proj": "key", "v_proj": "value", "out_proj": "out", "fc1": "mlp1", "fc2": "mlp2"}
TARGETS_HELP = (
    f"Layers to adapt in each block, separated by commas. Choose from {', '.join(TARGETS)}. PEFT's {', '.join(_PEFT)} "
    f"are understood too, in self-attention and cross-attention both, and so is {_ALL}."
)


def resolve_targets(names: Sequence[str]) -> tuple[str, ...]:
    """Return the layers that names stand for, as in TARGETS, without repeats.

    As PEFT matches the ends of paths, q_proj is attn.query and cross_attn.query.

    Raises:
        OptionError: a name is unknown, or there is none.
    """
    found = {name: _targets_of(name) for name in names}
    unknown = [name for name, targets in found.items() if not targets]
    if unknown or not names:
        raise OptionError(
            f"`targets` must be chosen from {', '.join(TARGETS)}, got {', '.join(unknown) or 'nothing'} "
            f"(PEFT's names, such as q_proj, and {_ALL} are known too)"
        )
    return tuple(dict.fromkeys(target for targets in found.values() for target in targets))


def _targets_of(name: str) -> list[str]:
    if name in TARGETS:
        return [name]
    return [target for target in TARGETS if name == _ALL or target.split(".")[-1] == _PEFT.get(name)]
