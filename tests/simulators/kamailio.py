"""Kamailio as we configure it, with the addresses of a test."""

import os
import shutil
import signal
import subprocess
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Final

from tests.simulators.installation import ROOT, until
from tests.simulators.ports import free_port
from vault.core.errors import UnavailableError
from vault.siprec.simulate import RecordingClient, Target

FOLDER: Final = ROOT / "infra" / "kamailio"
PROGRAM: Final = "kamailio"
HERE: Final = "127.0.0.1"


@contextmanager
def kamailio(folder: Path, config: str, defined: Mapping[str, str]) -> Iterator[Target]:
    """Run *config* of ours for the block; return where it takes UDP.

    Args:
        folder: For its log.
        config: Name of the file in ``infra/kamailio``.
        defined: What the file calls its values, and what they are in this test.
    """
    assert shutil.which(PROGRAM)
    at = Target(transport="udp", address=HERE, port=free_port())
    values = {
        "LISTEN": f"udp:{HERE}:{at.port}",
        "LISTEN_TLS": f"tls:{HERE}:{free_port()}",
        **defined,
    }
    words = [PROGRAM, "-f", str(FOLDER / config), "-DD", "-E", "-m", "32", "-M", "4"]
    # Libraries must not tidy up what is gone already: it would hang, now and then.
    words += [
        "--atexit=no",
        "-n",
        "2",
        "-P",
        str(folder / "kamailio.pid"),
        "-w",
        str(folder),
    ]
    words += ["-Y", str(folder)]
    for name, value in values.items():
        words += ["-A", f"{name}={value}" if value else name]
    log = folder / "kamailio.log"
    with log.open("ab") as out:
        process = subprocess.Popen(
            words, stdout=out, stderr=out, start_new_session=True
        )
    try:
        until(lambda: _answers(at) or process.poll() is not None, "kamailio answers")
        assert process.poll() is None, log.read_text()
        yield at
    finally:
        process.terminate()
        try:
            process.wait(20)
        except subprocess.TimeoutExpired:
            # Its children, too: they would keep the ports.
            os.killpg(process.pid, signal.SIGKILL)
            process.wait()


def _answers(at: Target) -> bool:
    """Whether it says that a recorder is there."""
    with RecordingClient(at, within_s=2) as client:
        try:
            return client.options().status == 200
        except UnavailableError:
            return False
