"""nginx and HAProxy in front of the vault, as the how-to sets them up."""

import contextlib
import shutil
import socket
import subprocess
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from types import MappingProxyType
from typing import Final

from tests.simulators.ports import free_port
from tests.simulators.waiting import wait_until

_START_WITHIN_S: Final = 20.0
HOW_TO: Final = (
    Path(__file__).parents[2] / "docs" / "howto" / "put-callvault-behind-a-proxy.md"
)

_NGINX: Final = """
daemon off;
worker_processes 1;
pid {folder}/nginx.pid;
error_log {folder}/error.log;
events {{}}
http {{
  access_log off;
  client_body_temp_path {folder}/body;
  proxy_temp_path {folder}/proxy;
  fastcgi_temp_path {folder}/fastcgi;
  uwsgi_temp_path {folder}/uwsgi;
  scgi_temp_path {folder}/scgi;
{server}
}}
"""
_HAPROXY: Final = """
global
  maxconn 100
defaults
  mode http
  timeout connect 5s
  timeout client 30s
  timeout server 60s
{server}
"""


def installed(name: str) -> bool:
    """Whether *name* is here."""
    return shutil.which(name) is not None


@contextmanager
def in_front(
    name: str, folder: Path, backend: int, pem: tuple[Path, Path]
) -> Iterator[int]:
    """Run *name* with what the how-to says, and give its TLS port.

    Args:
        name: ``nginx`` or ``haproxy``.
        folder: For its files.
        backend: Port of the vault, on this machine.
        pem: Certificate and key.
    """
    port = free_port()
    both = folder / "both.pem"
    both.write_bytes(pem[0].read_bytes() + pem[1].read_bytes())
    server = (
        _told(name)
        .replace("/etc/callvault/tls.pem", str(pem[0] if name == "nginx" else both))
        .replace("/etc/callvault/tls.key", str(pem[1]))
        .replace("listen 443", f"listen 127.0.0.1:{port}")
        .replace("bind :443", f"bind 127.0.0.1:{port}")
        .replace("127.0.0.1:8080", f"127.0.0.1:{backend}")
    )
    process = subprocess.Popen(
        _COMMANDS[name](folder, server),
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
    )
    try:
        _wait_for(port, process)
        yield port
    finally:
        process.terminate()
        process.wait(20)


def _told(name: str) -> str:
    """Return what the how-to says for *name*, word by word."""
    page = HOW_TO.read_text()
    return page.partition(f"```{name}\n")[2].partition("```")[0]


def _nginx(folder: Path, server: str) -> list[str]:
    (folder / "nginx.conf").write_text(_NGINX.format(folder=folder, server=server))
    return ["nginx", "-p", str(folder), "-c", str(folder / "nginx.conf")]


def _haproxy(folder: Path, server: str) -> list[str]:
    (folder / "haproxy.cfg").write_text(_HAPROXY.format(server=server))
    return ["haproxy", "-db", "-f", str(folder / "haproxy.cfg")]


_COMMANDS: Final[MappingProxyType[str, Callable[[Path, str], list[str]]]] = (
    MappingProxyType({"nginx": _nginx, "haproxy": _haproxy})
)


def _wait_for(port: int, process: "subprocess.Popen[bytes]") -> None:
    def listens() -> bool:
        assert process.poll() is None, "the proxy ended"
        with (
            contextlib.suppress(OSError),
            socket.create_connection(("127.0.0.1", port), timeout=1),
        ):
            return True
        return False

    wait_until(listens, "the proxy started", within_s=_START_WITHIN_S)
