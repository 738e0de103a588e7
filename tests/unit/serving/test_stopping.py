"""Being asked to stop, in processes of their own: signals are the point."""

import signal
import subprocess
import sys

import pytest

_PROGRAM = """
import sys
from vault.serving.stopping import StopRequest
stop = StopRequest()
print("ready", flush=True)
while not stop.wait(0.001):
    pass
assert stop.is_set() and stop.wait() and stop.wait(10)
assert 1 <= stop.times
print("stopped", flush=True)
sys.stdin.read()  # so that no signal meets an interpreter that is ending
"""


@pytest.mark.parametrize("times", [1, 50])
def test_signals_end_the_wait_however_many_come(times: int) -> None:
    with subprocess.Popen(
        [sys.executable, "-c", _PROGRAM],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
    ) as process:
        assert process.stdout is not None
        said = process.stdout.readline()
        for number in range(times):
            process.send_signal((signal.SIGTERM, signal.SIGINT)[number % 2])
        stopped, _ = process.communicate("", timeout=60)

        assert ("ready\n", "stopped\n", 0) == (said, stopped, process.returncode)


def test_who_asks_twice_is_told_from_who_asks_once() -> None:
    program = """
import signal
from vault.serving.stopping import StopRequest
stop = StopRequest()
said = [stop.times]
for _ in range(2):
    signal.raise_signal(signal.SIGTERM)
    said.append(stop.times)
print(said)
"""
    done = subprocess.run(
        [sys.executable, "-c", program], capture_output=True, text=True, check=True
    )

    assert "[0, 1, 2]\n" == done.stdout
