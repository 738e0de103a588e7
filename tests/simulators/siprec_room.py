"""A session recording server on loopback, with a desk in memory and real sockets."""

import asyncio
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass
from typing import Any, TypeVar

from tests.simulators.recording_desk import PBX, TOKEN, MemoryDesk, MemoryDevices
from vault.core.secrets import SecretBytes
from vault.sip.config import SipConfig
from vault.sip.peers import Transport
from vault.sip.user_agent import UserAgent
from vault.siprec.admission import Admission, AdmissionConfig
from vault.siprec.server import RecordingServer
from vault.siprec.simulate import RecordingClient, Target

_T = TypeVar("_T")


@dataclass(kw_only=True)
class Room:
    """Everything of it."""

    desk: MemoryDesk
    devices: MemoryDevices
    server: RecordingServer
    agent: UserAgent
    trouble: list[str]
    "What `why_not` says, if anything."

    def target(self, transport: Transport = Transport.TCP) -> Target:
        """Return where it listens."""
        found = [one for one in self.agent.bound if one[0] is transport]
        return Target(transport=transport, address=found[0][1], port=found[0][2])

    def client(
        self, transport: Transport = Transport.TCP, **settings: Any
    ) -> RecordingClient:
        """Return a client that knows the device's token."""
        known = {"username": PBX.name, "password": SecretBytes(TOKEN.encode())}
        return RecordingClient(self.target(transport), **{**known, **settings})


@asynccontextmanager
async def serving(
    desk: MemoryDesk | None = None,
    *,
    devices: MemoryDevices | None = None,
    config: SipConfig | None = None,
) -> AsyncIterator[Room]:
    """Serve for the length of the block."""
    desk, devices, trouble = desk or MemoryDesk(), devices or MemoryDevices(), []
    said: list[str] = trouble
    server = RecordingServer(
        desk,
        Admission(devices, AdmissionConfig()),
        why_not=lambda: said[0] if said else "",
    )
    agent = UserAgent(
        server,
        config
        or SipConfig(
            listen=(
                (Transport.UDP, "127.0.0.1", 0),
                (Transport.TCP, "127.0.0.1", 0),
            )
        ),
    )
    server.begin(agent)
    await agent.start()
    try:
        yield Room(desk=desk, devices=devices, server=server, agent=agent, trouble=said)
    finally:
        await server.finish(within_s=2)
        await agent.stop()


async def blocking(work: Callable[[], _T]) -> _T:
    """Let a client, which blocks, work beside the server."""
    return await asyncio.to_thread(work)
