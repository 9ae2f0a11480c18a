"""The events of a run, for several callbacks."""

from mlx_whisper_lora.training.callbacks import Callback, all_of


class Recorder(Callback):
    """Keeps the models that were loaded, with a name of its own."""

    def __init__(self, name: str, found: list[tuple[str, str]]):
        self.name, self.found = name, found

    def load(self, model: str) -> None:
        self.found.append((self.name, model))


def test_each_event_goes_to_all_callbacks_in_their_order():
    found: list[tuple[str, str]] = []
    together = all_of([Recorder("a", found), Recorder("b", found)])
    together.load("base")
    together.end(None)  # which neither of them overrides
    assert found == [("a", "base"), ("b", "base")]
