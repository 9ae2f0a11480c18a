"""Processes that train together."""

import json
from types import SimpleNamespace

import pytest

from mlx_whisper_lora.training.distributed import World
from tests.support.processes import run_python, run_together
from tools.ports import free_ports


def test_one_process_is_a_world_of_its_own():
    world = World()
    assert (world.rank, world.size, world.speaks) == (0, 1, True)
    assert world.share([1, 2, 3]) == world.collect([1, 2, 3]) == [1, 2, 3]
    assert world.gather(b"mine") == [b"mine"]


def test_only_errors_of_connections_are_reported_as_such():
    with pytest.raises(ConnectionError, match=r"failed: .* connection to a peer was lost"), World().together():
        raise RuntimeError("[ring] connection to a peer was lost")
    with pytest.raises(RuntimeError, match="out of memory"), World().together():
        raise RuntimeError("[metal::malloc] out of memory")


def test_the_results_of_all_items_come_in_their_order(monkeypatch):
    shares = [b'["a", "d"]', b'["b", "e"]', b'["c"]']
    world = SimpleNamespace(size=3, gather=lambda message: shares)
    assert World.collect(world, ["a", "d"]) == ["a", "b", "c", "d", "e"]


PROGRAM = """
from mlx_whisper_lora.training.distributed import World
world = World()
items = list(range(5))
squares = world.collect([item**2 for item in world.share(items)])
print(world.share(items), squares, world.gather("ab".encode() * world.rank), world.collect([]))
"""


@pytest.mark.slow
def test_three_processes_share_items_and_get_all_results(tmp_path):
    outcomes = run_together(3, tmp_path, "-c", PROGRAM)
    shares = ("[0, 3]", "[1, 4]", "[2]")
    assert [each.out for each in outcomes] == [
        f"{share} [0, 1, 4, 9, 16] [b'', b'ab', b'abab'] []\n" for share in shares
    ], outcomes


@pytest.mark.slow
def test_a_process_does_not_wait_for_ever_for_one_that_never_starts(tmp_path):
    (tmp_path / "hosts.json").write_text(json.dumps([[f"127.0.0.1:{port}"] for port in free_ports(2)]))
    program = "from mlx_whisper_lora.training import distributed as d; d._TIME_TO_START = 1; d.World()"
    alone = run_python("-c", program, MLX_RANK="0", MLX_HOSTFILE=str(tmp_path / "hosts.json"))
    assert alone.code != 0 and alone.err == "error: the other processes did not all start within 1 seconds\n"
