"""Output to the terminal."""

import io
import os
import subprocess
import sys
from pathlib import Path

from deploy.local.console import BACKLOG, Terminal
from tests.support.servers import PATIENCE

ROOT = Path(__file__).resolve().parents[2]


class Screen(io.StringIO):
    def isatty(self) -> bool:
        return True


def test_lines_come_out_in_order() -> None:
    stream = io.StringIO()
    terminal = Terminal(stream, {})
    for number in range(100):
        terminal.show_as_is(str(number))
    terminal.close(PATIENCE)
    assert stream.getvalue().split() == [str(number) for number in range(100)]


def test_colour_on_a_terminal_only_and_not_against_the_users_wish() -> None:
    assert Terminal(Screen(), {}).colour
    assert not Terminal(Screen(), {"NO_COLOR": "1"}).colour
    assert not Terminal(Screen(), {"TERM": "dumb"}).colour
    assert not Terminal(io.StringIO(), {}).colour


def test_a_pipe_that_is_not_read_stops_nothing_and_the_loss_is_reported() -> None:
    readable, writable = os.pipe()
    with os.fdopen(writable, "w") as stream, os.fdopen(readable) as reader:
        terminal = Terminal(stream, {})
        for _ in range(BACKLOG + 2_000):
            terminal.show_as_is("x" * 99)
        for _ in range(3_000):
            assert reader.readline() == "x" * 99 + "\n"
        terminal.show_as_is("the end")
        rest = list(iter(reader.readline, "the end\n"))
        assert any(line.endswith("lines were not shown)\n") for line in rest)
        terminal.close()


def test_a_reader_that_has_gone_does_not_change_the_exit_status() -> None:
    program = "import sys, os; from deploy.local.console import Terminal\n"
    program += "t = Terminal(sys.stdout, {}); [t.show_as_is('x' * 999) for _ in range(500)]; t.close()"
    process = subprocess.Popen([sys.executable, "-c", program], stdout=subprocess.PIPE, cwd=ROOT)
    assert process.stdout is not None
    process.stdout.close()
    assert process.wait(PATIENCE) == 0
