"""baresip and pjsua2 as recording clients: phones that others wrote, told what to do.

Each is a process of its own that dials, speaks a WAV file and hangs up.

Left to others: what became of it at the recorder (`tests.simulators.installation`).
"""

import importlib.util
import os
import shutil
import subprocess
import sys
import wave
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from tests.simulators.hearing import RATE_HZ, Samples
from tests.simulators.installation import ROOT, Installation, until

HERE: Final = "127.0.0.1"
_MODULES: Final = Path("/usr/lib/baresip/modules")
_WITHIN_S: Final = 60


def pjsua2_python() -> str | None:
    """Return an interpreter that has pjsua2: this one, or ``PJSUA2_PYTHON``."""
    if importlib.util.find_spec("pjsua2") is not None:
        return sys.executable
    return os.environ.get("PJSUA2_PYTHON")


def write_wav(file: Path, samples: Samples) -> None:
    """Write *samples* as a file that a phone can play."""
    with wave.open(str(file), "wb") as out:
        out.setnchannels(1)
        out.setsampwidth(2)
        out.setframerate(RATE_HZ)
        out.writeframes(samples.astype("<i2").tobytes())


@dataclass(frozen=True, kw_only=True)
class Way:
    """Where the recorder is, and what to trust there."""

    transport: str
    endpoint: str
    certificate: Path

    @classmethod
    def to(cls, vault: Installation, transport: str, certificate: Path) -> "Way":
        """Return the way to *vault* by *transport*."""
        wanted = vault.env["CALLVAULT_SIP_LISTEN"].split(",")
        found = next(one for one in wanted if one.startswith(f"{transport}:"))
        endpoint = found.partition(":")[2]
        return cls(transport=transport, endpoint=endpoint, certificate=certificate)


@dataclass(frozen=True, kw_only=True)
class Ended:
    """What a phone printed until it ended, and its status."""

    status: int
    said: str


def baresip(
    folder: Path, way: Way, *, name: str, token: str, speech: Path, seconds: float
) -> Ended:
    """Have baresip call the recorder, speak for about *seconds*, and hang up."""
    account = (
        f"<sip:{name}@{way.endpoint};transport={way.transport}>;regint=0;"
        f"auth_user={name};auth_pass={token};mediaenc=srtp-mand"
    )
    _configure(folder, account, speech, f"sip_cafile {way.certificate}")
    uri = f"sip:srs@{way.endpoint}"
    if way.transport == "udp":
        # Otherwise it adds the transport of its account by itself.
        uri += ";transport=udp"
    return _run(_dialling(folder, uri, seconds))


def call_by_baresip(
    folder: Path, *, name: str, uri: str, speech: Path, seconds: float
) -> Ended:
    """Have baresip call somebody without any protection, speak, and hang up."""
    _configure(folder, f"<sip:{name}@{HERE}>;regint=0", speech)
    return _run(_dialling(folder, uri, seconds))


@contextmanager
def answering_baresip(
    folder: Path, *, name: str, port: int, speech: Path
) -> Iterator[None]:
    """Have baresip wait for calls on UDP *port* for the block, and speak in them.

    The port after it must be free, too: it listens there for TLS.
    """
    account = f"<sip:{name}@{HERE}:{port}>;regint=0;answermode=auto"
    _configure(folder, account, speech, listen=port)
    with (folder / "baresip.log").open("ab") as log:
        process = subprocess.Popen(
            ["baresip", "-f", str(folder)],
            stdin=subprocess.DEVNULL,
            stdout=log,
            stderr=log,
        )
    try:
        said = folder / "baresip.log"
        until(
            lambda: "is ready" in said.read_text() or process.poll() is not None,
            "baresip is ready",
        )
        assert process.poll() is None, said.read_text()
        yield
    finally:
        process.terminate()
        process.wait(30)


def _dialling(folder: Path, uri: str, seconds: float) -> list[str]:
    return ["baresip", "-f", str(folder), "-e", f"/dial {uri}", "-t", f"{seconds:.0f}"]


def _configure(
    folder: Path, account: str, speech: Path, *lines: str, listen: int = 0
) -> None:
    """Write what baresip reads: one account, PCMU, and *speech* as its microphone."""
    assert shutil.which("baresip")
    modules = ("stdio", "g711", "aufile", "srtp", "account", "menu")
    config = (
        f"net_interface {HERE}",
        f"sip_listen {HERE}:{listen}",
        f"module_path {_MODULES}",
        *(f"module {one}.so" for one in modules),
        f"audio_source aufile,{speech}",
        "audio_channels 1",
        *lines,
    )
    (folder / "config").write_text("\n".join(config) + "\n")
    (folder / "accounts").write_text(f"{account};audio_codecs=PCMU/8000/1\n")
    (folder / "contacts").write_text("")


def pjsua2(
    way: Way, *, name: str, token: str, speech: Path, steps: Sequence[str]
) -> Ended:
    """Have pjsua2 call the recorder and do *steps*.

    Args:
        way: Where to.
        name: User name for a challenge.
        token: Password for a challenge.
        speech: WAV file to speak, again and again.
        steps: ``speak:SECONDS``, ``hold:SECONDS``, ``digits:TEXT``, in order.
    """
    python = pjsua2_python()
    assert python is not None
    script = ROOT / "tests" / "simulators" / "pjsua2_phone.py"
    words = [python, str(script), way.transport, way.endpoint, name, str(speech)]
    return _run([*words, *steps], stdin=token + "\n")


def _run(words: Sequence[str], stdin: str | None = None) -> Ended:
    done = subprocess.run(
        words,
        input=stdin,
        stdin=subprocess.DEVNULL if stdin is None else None,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        errors="replace",
        timeout=_WITHIN_S,
        check=False,
    )
    return Ended(status=done.returncode, said=done.stdout)
