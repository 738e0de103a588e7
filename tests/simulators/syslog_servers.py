"""Real receivers of syslog: Debian's rsyslog and syslog-ng, configured as the how-to says.

Debian lets one of them be installed.  `scripts/test` unpacks the other one into
``.venv-syslog-ng``.
"""

import json
import os
import re
import shutil
import socket
import subprocess
from collections.abc import Iterator, Mapping
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

from tests.simulators.ports import HERE, free_port
from tests.simulators.tls_certificates import Certified
from tests.simulators.waiting import wait_until

_ROOT: Final = Path(__file__).resolve().parents[2]
_HOW_TO: Final = _ROOT / "docs" / "howto" / "stream-to-a-siem.md"
_UNPACKED: Final = _ROOT / ".venv-syslog-ng" / "usr"
_NG: Final = (
    shutil.which("syslog-ng"),
    "/usr/sbin/syslog-ng",
    _UNPACKED / "sbin/syslog-ng",
)

RSYSLOG: Final = shutil.which("rsyslogd") or "/usr/sbin/rsyslogd"
SYSLOG_NG: Final = next((str(one) for one in _NG if one and Path(one).is_file()), "")


PROGRAMS: Final = ("rsyslog", "syslog-ng")


def missing(program: str) -> str:
    """Return why *program* cannot be run here; empty where it can."""
    if program == "syslog-ng":
        return "" if SYSLOG_NG else "no syslog-ng here"
    modules = Path("/usr/lib").glob("*/rsyslog/lmnsd_ossl.so")
    if not Path(RSYSLOG).is_file():
        return "no rsyslogd here"
    return "" if any(modules) else "no rsyslog-openssl here"


@dataclass(frozen=True, kw_only=True)
class SyslogServerProcess:
    """A receiver that runs; what it wrote down lies in a file."""

    port: int
    ca: Path
    written: Path

    def lines(self) -> list[Mapping[str, Any]]:
        """Return what it has written down so far, whole lines only."""
        try:
            text = self.written.read_text()
        except FileNotFoundError:
            return []
        whole = text.split("\n")[:-1]
        return [json.loads(line) for line in whole]


@contextmanager
def syslog_server(program: str, folder: Path) -> Iterator[SyslogServerProcess]:
    """Run *program* for the block."""
    root = Certified.make("receivers", is_ca=True)
    ca, _ = root.write(folder, "ca")
    Certified.make("localhost", issuer=root).write(folder, "server")
    server = SyslogServerProcess(
        port=free_port(), ca=ca, written=folder / "callvault.jsonl"
    )
    config = folder / "receiver.conf"
    config.write_text(_config(program, folder, server))
    process = subprocess.Popen(
        _words(program, config, folder),
        env=os.environ | {"LD_LIBRARY_PATH": str(_UNPACKED / "lib" / "syslog-ng")},
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
    )
    try:
        wait_until(lambda: _listens(server.port, process), f"{program} listens")
        yield server
    finally:
        process.terminate()
        process.wait(20)


def _config(program: str, folder: Path, server: SyslogServerProcess) -> str:
    (block,) = re.findall(rf"```{program}\n(.*?)```", _HOW_TO.read_text(), re.DOTALL)
    places = {
        "/etc/ssl/siem/ca.pem": str(server.ca),
        "/etc/ssl/siem/server.pem": str(folder / "server.crt"),
        "/etc/ssl/siem/server.key": str(folder / "server.key"),
        "/var/log/callvault.jsonl": str(server.written),
        "6514": str(server.port),
        "0.0.0.0": HERE,
    }
    for documented, ours in places.items():
        assert documented in block or documented == "0.0.0.0", documented
        block = block.replace(documented, ours)
    if program == "syslog-ng":
        return f"@version: 3.35\n{block}"
    return f'global(workDirectory="{folder}")\n{block}'


def _words(program: str, config: Path, folder: Path) -> list[str]:
    if program == "rsyslog":
        return [RSYSLOG, "-n", "-f", str(config), "-i", str(folder / "pid")]
    words = [SYSLOG_NG, "-F", "--no-caps", "-f", str(config)]
    words += ["--persist-file", str(folder / "persist")]
    words += ["--control", str(folder / "control"), "--pidfile", str(folder / "pid")]
    modules = next(_UNPACKED.glob("lib/syslog-ng/*.*/"), None)
    if SYSLOG_NG.startswith(str(_UNPACKED)) and modules:
        words += ["--module-path", str(modules)]
    return words


def _listens(port: int, process: "subprocess.Popen[bytes]") -> bool:
    assert process.poll() is None, "it has ended"
    with suppress(OSError), socket.create_connection((HERE, port), 1):
        return True
    return False
