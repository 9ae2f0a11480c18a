"""The port of the page."""

import socket

import pytest

from mlx_whisper_lora.studio_page import server
from mlx_whisper_lora.studio_page.server import listen
from mlx_whisper_lora.whisper.option import OptionError
from tools.ports import free_ports


def test_a_port_that_is_taken_is_an_error_if_it_was_asked_for_and_else_the_next_one_is_taken(monkeypatch):
    with socket.create_server(("127.0.0.1", 0)) as other:
        taken = other.getsockname()[1]
        with pytest.raises(OptionError, match=f"port {taken} is in use: give another one"):
            listen("127.0.0.1", taken)
        monkeypatch.setattr(server, "FIRST_PORT", taken)
        with listen("127.0.0.1", None) as listener:
            assert listener.getsockname()[1] > taken


def test_the_page_is_for_this_machine_alone_unless_another_address_is_given():
    (port,) = free_ports(1)
    with listen("127.0.0.1", port) as listener:
        assert listener.getsockname() == ("127.0.0.1", port)
    with pytest.raises(OptionError, match=r"host 192.0.2.1: this machine cannot listen there"):
        listen("192.0.2.1", port)
