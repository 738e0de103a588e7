"""Recording clients: whole calls at a steady rate, over UDP, TCP or TLS.

Standard input: one line of JSON, the members of `Task`.  Standard output: ``READY``
when every client is connected; sends when a second line comes; then one line of JSON:
answer times in milliseconds from when an INVITE was *due*, how many calls were refused
or never answered, and how late this process itself was at its worst.

Each call is INVITE (multipart), 2xx, ACK and, *hold_s* later, BYE.  Over UDP a request
without an answer is sent again after 500 ms, as RFC 3261 says; it counts from the
first.  ``hold_s`` below 0 keeps the calls: legs and keys are printed, and a third line
ends them.
"""

import asyncio
import base64
import json
import ssl
import sys
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import cast

from invites import Dialog, media_ports, status, value

_T1_S = 0.5
_PATIENCE_S = 32.0
_SUCCESS = 200
_FINAL = 200
_SEPARATOR = b"\r\n\r\n"


@dataclass(frozen=True, slots=True, kw_only=True)
class Task:
    """What to do."""

    transport: str
    there: tuple[str, int]
    addresses: list[str]
    "Of the devices: calls take turns among them."
    rate: float
    calls: int
    hold_s: float
    trusted: str = ""
    "PEM of the recorder's certificate."


class Client(asyncio.DatagramProtocol, asyncio.Protocol):
    """One device: a socket of its own, and the answers it waits for."""

    def __init__(self, transport: str) -> None:
        self.transport = transport
        self.here = ("", 0)
        self._wire: asyncio.Transport | None = None
        self._datagrams: asyncio.DatagramTransport | None = None
        self._begun = bytearray()
        self._waiting: dict[tuple[str, str], asyncio.Future[str]] = {}

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self.here = transport.get_extra_info("sockname")[:2]
        if self.transport == "udp":
            self._datagrams = cast("asyncio.DatagramTransport", transport)
        else:
            self._wire = cast("asyncio.Transport", transport)

    def datagram_received(self, data: bytes, _: object) -> None:
        self._take(data)

    def data_received(self, data: bytes) -> None:
        self._begun += data
        while (end := self._begun.find(_SEPARATOR)) >= 0:
            head = bytes(self._begun[: end + 4]).decode("latin-1")
            size = end + 4 + int(value(head, "Content-Length") or 0)
            if len(self._begun) < size:
                return
            self._take(bytes(self._begun[:size]))
            del self._begun[:size]

    def send(self, octets: bytes) -> None:
        if self._datagrams is not None:
            self._datagrams.sendto(octets)
        elif self._wire is not None:
            self._wire.write(octets)

    async def ask(self, call_id: str, method: str, octets: bytes) -> str:
        """Send a request; return its final answer, empty if none comes."""
        answer: asyncio.Future[str] = asyncio.get_running_loop().create_future()
        key = call_id, method
        self._waiting[key] = answer
        again = None
        if self._datagrams is not None:
            again = asyncio.create_task(self._repeat(octets))
        self.send(octets)
        try:
            return await asyncio.wait_for(answer, _PATIENCE_S)
        except TimeoutError:
            return ""
        finally:
            self._waiting.pop(key, None)
            if again is not None:
                again.cancel()

    async def _repeat(self, octets: bytes) -> None:
        wait_s = _T1_S
        while True:
            await asyncio.sleep(wait_s)
            self.send(octets)
            wait_s *= 2

    def _take(self, octets: bytes) -> None:
        said = octets.decode("latin-1")
        method = value(said, "CSeq").partition(" ")[2]
        if status(said) == 0:
            # A BYE of the recorder's: it would only be repeated.
            self.send(_agreed(said))
        answer = self._waiting.get((value(said, "Call-ID"), method))
        if answer is not None and status(said) >= _FINAL and not answer.done():
            answer.set_result(said)


@dataclass(slots=True)
class Bench:
    """Calls of one task, and how they went."""

    task: Task
    clients: list[Client]
    answered_ms: list[float] = field(default_factory=list)
    ended_ms: list[float] = field(default_factory=list)
    refused: dict[str, int] = field(default_factory=dict)
    late_ms: float = 0.0
    kept: list[tuple[Client, Dialog, list[int]]] = field(default_factory=list)

    async def run(self) -> None:
        """Begin the calls, each at its time; return when all have ended or stand."""
        loop = asyncio.get_running_loop()
        start_s, running = loop.time() + 0.05, []
        for number in range(self.task.calls):
            due_s = start_s + number / self.task.rate
            await asyncio.sleep(max(0.0, due_s - loop.time()))
            self.late_ms = max(self.late_ms, 1000 * (loop.time() - due_s))
            client = self.clients[number % len(self.clients)]
            running.append(asyncio.create_task(self._call(client, due_s, loop.time)))
        await asyncio.gather(*running)

    async def _call(
        self, client: Client, due_s: float, clock: Callable[[], float]
    ) -> None:
        task = self.task
        dialog = Dialog(transport=task.transport, here=client.here, there=task.there)
        said = await client.ask(dialog.call_id, "INVITE", dialog.invite())
        if not said or status(said) != _SUCCESS:
            name = str(status(said)) if said else "none"
            self.refused[name] = self.refused.get(name, 0) + 1
            return
        self.answered_ms.append(1000 * (clock() - due_s))
        dialog.learn(said)
        client.send(dialog.ack())
        if task.hold_s < 0:
            self.kept.append((client, dialog, media_ports(said)))
            return
        await asyncio.sleep(task.hold_s)
        await self._end(client, dialog)

    async def _end(self, client: Client, dialog: Dialog) -> None:
        began_s = asyncio.get_running_loop().time()
        said = await client.ask(dialog.call_id, "BYE", dialog.bye())
        if status(said) == _SUCCESS:
            self.ended_ms.append(1000 * (asyncio.get_running_loop().time() - began_s))
        else:
            self.refused["BYE"] = self.refused.get("BYE", 0) + 1

    async def end(self) -> None:
        """End the calls that were kept."""
        ends = [self._end(client, dialog) for client, dialog, _ in self.kept]
        await asyncio.gather(*ends)

    def said(self) -> str:
        """Return what happened, as JSON."""
        return json.dumps(
            {
                "answered_ms": [round(one, 2) for one in self.answered_ms],
                "ended_ms": [round(one, 2) for one in self.ended_ms],
                "refused": self.refused,
                "late_ms": round(self.late_ms, 1),
                "legs": [
                    [port, base64.b64encode(key).decode()]
                    for _, dialog, ports in self.kept
                    for port, key in zip(ports, dialog.keys, strict=True)
                ],
            }
        )


async def connected(task: Task) -> list[Client]:
    """Return one connected client for each address."""
    loop, clients = asyncio.get_running_loop(), []
    trusted = ssl.create_default_context(cafile=task.trusted) if task.trusted else None
    for address in task.addresses:
        client = Client(task.transport)
        local = (address, 0)
        if task.transport == "udp":
            await loop.create_datagram_endpoint(
                lambda client=client: client, local_addr=local, remote_addr=task.there
            )
        else:
            await loop.create_connection(
                lambda client=client: client,
                *task.there,
                local_addr=local,
                ssl=trusted,
            )
        clients.append(client)
    return clients


async def main() -> None:
    """Do what standard input says."""
    said = json.loads(sys.stdin.readline())
    task = Task(**{**said, "there": tuple(said["there"])})
    bench = Bench(task, await connected(task))
    print("READY", flush=True)
    await asyncio.to_thread(sys.stdin.readline)
    await bench.run()
    print(bench.said(), flush=True)
    if task.hold_s < 0:
        await asyncio.to_thread(sys.stdin.readline)
        await bench.end()
        print(bench.said(), flush=True)


def _agreed(request: str) -> bytes:
    rows = ["SIP/2.0 200 OK"]
    rows += [f"{name}: {value(request, name)}" for name in ("Via", "From", "To")]
    rows += [f"{name}: {value(request, name)}" for name in ("Call-ID", "CSeq")]
    return ("\r\n".join([*rows, "Content-Length: 0"]) + "\r\n\r\n").encode()


if __name__ == "__main__":
    asyncio.run(main())
