"""One broker for all processes of a test run: a node takes eight seconds of processor time to start.

The process that hands out the tests owns it and starts it when a worker asks first; a virtual host keeps each test to
itself.
"""

import contextlib
import tempfile
import threading
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager
from multiprocessing.connection import Client, Listener
from pathlib import Path

from tests.support.servers import Broker, claim_ports, running_broker


class SharedBroker:
    """The broker of this test run, in the process that hands out the tests."""

    def __init__(self, start: Callable[[Path], AbstractContextManager[Broker]] = running_broker) -> None:
        self._start = start
        self._home = tempfile.TemporaryDirectory(prefix="broker-")
        self._listener = Listener(family="AF_UNIX")
        self._stack = contextlib.ExitStack()
        # The broker gets a signal when the thread that started it ends: this one lives as long as the process.
        threading.Thread(target=self._serve, daemon=True).start()

    @property
    def address(self) -> str:
        """Where a worker asks for it."""
        return str(self._listener.address)

    def stop(self) -> None:
        """Kill the broker, if it was started, and remove its files."""
        self._listener.close()
        self._stack.close()
        self._home.cleanup()

    def _serve(self) -> None:
        broker: Broker | None = None
        while True:
            try:
                connection = self._listener.accept()
            except OSError:  # closed
                return
            with connection:
                if broker is None:
                    try:
                        claim_ports()
                        broker = self._stack.enter_context(self._start(Path(self._home.name)))
                    except Exception as error:
                        connection.send(f"the broker did not start: {error}")
                        continue
                connection.send(broker)


def ask(address: str) -> Broker:
    """The broker of the run, from the process that listens there."""
    with Client(address, family="AF_UNIX") as connection:
        answer = connection.recv()
    assert isinstance(answer, Broker), answer
    return answer


@contextlib.contextmanager
def broker_of_the_run(address: str | None, home: Path) -> Iterator[Broker]:
    """The run's broker; without workers, one of this process's own with its files in `home`."""
    if address is not None:
        yield ask(address)
        return
    with running_broker(home) as own:
        yield own
