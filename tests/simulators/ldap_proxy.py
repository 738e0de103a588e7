"""Somebody between the vault and its directory: slow, silent, or an attacker."""

import socket
import threading
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from enum import StrEnum, unique
from typing import Final

HERE: Final = "127.0.0.1"
_START_TLS: Final = b"1.3.6.1.4.1.1466.20037"
_PAUSE_S: Final = 0.05


@unique
class Fault(StrEnum):
    """What it does with what it is sent."""

    NONE = "none"
    SILENT = "silent"
    "Takes everything and says nothing."
    TRICKLE = "trickle"
    "Gives one octet of the answer at a time."
    REFUSE_TLS = "refuse-tls"
    "Answers StartTLS itself: not offered."
    FEIGN_TLS = "feign-tls"
    "Answers StartTLS itself: done, and goes on in the clear."
    ENDLESS = "endless"
    "Answers with a message that never ends."


@dataclass
class Proxy:
    """A TCP proxy with a fault."""

    port: int
    fault: Fault
    seen: list[bytes] = field(default_factory=list)
    "What came from the vault, as far as it was in the clear or not."
    over: threading.Event = field(default_factory=threading.Event)

    @property
    def url(self) -> str:
        """Where it listens."""
        return f"ldap://{HERE}:{self.port}"


@contextmanager
def proxy(target: int, fault: Fault, *, host: str = HERE) -> Iterator[Proxy]:
    """Stand between the block and the directory at *target*."""
    with socket.create_server((host, 0)) as listener:
        made = Proxy(listener.getsockname()[1], fault)
        listener.settimeout(_PAUSE_S)
        thread = threading.Thread(target=_accept, args=(listener, target, made))
        thread.start()
        try:
            yield made
        finally:
            made.over.set()
            thread.join(10)


def _accept(listener: socket.socket, target: int, made: Proxy) -> None:
    threads: list[threading.Thread] = []
    while not made.over.is_set():
        try:
            client, _ = listener.accept()
        except TimeoutError:
            continue
        server = socket.create_connection((HERE, target))
        for run in (_from_client, _from_server):
            thread = threading.Thread(target=run, args=(client, server, made))
            thread.start()
            threads.append(thread)
    for thread in threads:
        thread.join(10)


def _from_client(client: socket.socket, server: socket.socket, made: Proxy) -> None:
    with client, server, suppress(OSError):
        for octets in _read(client, made):
            made.seen.append(octets)
            if made.fault is Fault.SILENT:
                continue
            if made.fault is Fault.ENDLESS:
                client.sendall(b"\x30\x84\x7f\xff\xff\xff")
                while not made.over.is_set():
                    client.sendall(bytes(1 << 16))
            if _START_TLS in octets and made.fault in _FEIGNED:
                # messageID, extendedResp, resultCode, no matchedDN, no message
                client.sendall(
                    b"\x30\x0c\x02\x01"
                    + octets[4:5]
                    + b"\x78\x07\x0a\x01"
                    + _FEIGNED[made.fault]
                    + b"\x04\x00\x04\x00"
                )
                continue
            server.sendall(octets)


def _from_server(client: socket.socket, server: socket.socket, made: Proxy) -> None:
    with suppress(OSError):
        for octets in _read(server, made):
            if made.fault is Fault.TRICKLE:
                for octet in octets:
                    client.sendall(bytes([octet]))
                    made.over.wait(_PAUSE_S)
            else:
                client.sendall(octets)


def _read(source: socket.socket, made: Proxy) -> Iterator[bytes]:
    source.settimeout(_PAUSE_S)
    while not made.over.is_set():
        try:
            octets = source.recv(1 << 16)
        except TimeoutError:
            continue
        if not octets:
            return
        yield octets


_FEIGNED: Final = {Fault.REFUSE_TLS: b"\x02", Fault.FEIGN_TLS: b"\x00"}
