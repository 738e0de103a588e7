"""A recording client at an installation: a device that speaks SIPREC."""

import ssl
import threading
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Any

import httpx

from tests.simulators.installation import Installation, until
from vault.core.media import SrtpSuite
from vault.core.secrets import SecretBytes
from vault.sip.messages import Response
from vault.siprec.simulate import RecordingClient, Target
from vault.siprec.simulated_bodies import Speaker, metadata_of
from vault.tap.simulate import SimulatedCall

ADA = Speaker(label="agent", aor="sip:ada@example.net", name="Ada Lovelace")
CUSTOMER = Speaker(label="customer", aor="sip:+442079460123@example.net", name="")


@dataclass(kw_only=True)
class SipCall:
    """One call in progress."""

    client: RecordingClient
    simulated: SimulatedCall
    sdp: str
    "The recorder's answer."
    packets: int = 0

    def speak(self) -> None:
        """Send its packets; takes as long as the call."""
        self.packets = sum(one.packets for one in self.simulated.send(self.sdp))

    @contextmanager
    def speaking(self) -> Iterator[None]:
        """Send them in the background for the length of the block or longer."""
        thread = threading.Thread(target=self.speak)
        thread.start()
        try:
            yield
        finally:
            thread.join()

    def end(self) -> None:
        """Hang up."""
        with self.client:
            assert self.client.bye().status == 200


@dataclass(kw_only=True)
class SiprecPbx:
    """A device, its token, and where the recorder listens."""

    name: str
    token: str
    target: Target
    tls: ssl.SSLContext | None = None
    clients: list[RecordingClient] = field(default_factory=list)

    @classmethod
    def of(
        cls, vault: Installation, name: str, token: str, transport: str = "tcp"
    ) -> "SiprecPbx":
        """Return the device called *name* of *vault*."""
        target = Target.parse(f"{transport}:{vault.sip}")
        return cls(name=name, token=token, target=target)

    def client(self) -> RecordingClient:
        """Open a connection."""
        client = RecordingClient(
            self.target,
            username=self.name,
            password=SecretBytes(self.token.encode()),
            tls=self.tls,
            within_s=30,
        )
        self.clients.append(client)
        return client

    def invited(
        self, simulated: SimulatedCall, speakers: Sequence[Speaker] = (ADA, CUSTOMER)
    ) -> tuple[RecordingClient, Response]:
        """Offer a call; return how it was answered."""
        client = self.client()
        return client, client.invite(simulated.build_offer(), metadata_of(speakers))

    def begin(
        self,
        *,
        seconds: float = 2.0,
        suite: SrtpSuite = SrtpSuite.AES_CM_128_HMAC_SHA1_80,
        **what: Any,
    ) -> SipCall:
        """Begin a call; nothing is sent yet."""
        simulated = SimulatedCall(seconds=seconds, suite=suite)
        client, answer = self.invited(simulated, **what)
        assert answer.status == 200, (answer.status, answer.headers.get("Warning"))
        return SipCall(client=client, simulated=simulated, sdp=answer.body.decode())

    def place(self, **what: Any) -> SipCall:
        """Place a whole call and hang up."""
        call = self.begin(**what)
        call.speak()
        call.end()
        return call

    def close(self) -> None:
        """Close what is open."""
        for client in self.clients:
            client.close()


def recordings(reader: httpx.Client) -> list[str]:
    """Return the ids of the recordings that *reader* may see, the newest first."""
    answer = reader.get("/recordings")
    assert answer.status_code == 200, answer.text
    return [each["id"] for each in answer.json()["items"]]


def new_recording(reader: httpx.Client, before: Sequence[str]) -> str:
    """Wait for one that was not there *before*, and return its id."""

    def found() -> str | None:
        return next((one for one in recordings(reader) if one not in before), None)

    return until(found, "a recording that was not there")
