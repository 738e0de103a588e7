"""Sealed octets to read from, and recipients to wrap for."""

import os
from collections.abc import Callable
from dataclasses import dataclass, field

import pytest
from cryptography.exceptions import InvalidTag

from vault.core.errors import KeyUnavailableError, SealBrokenError
from vault.core.ids import RecordingId, new_recording_id
from vault.core.secrets import SecretBytes
from vault.sealing import chunks, xwing
from vault.sealing.envelope import Recipient, WrappedKey, kid_of, xwing_recipient


@dataclass
class Buffer:
    """A range source in memory that remembers what was asked for."""

    octets: bytes
    claimed: int | None = None
    asked: list[tuple[int, int]] = field(default_factory=list)

    @property
    def size(self) -> int:
        return len(self.octets) if self.claimed is None else self.claimed

    def read(self, start: int, stop: int) -> bytes:
        self.asked.append((start, stop))
        return self.octets[start:stop]


@pytest.fixture
def buffer() -> type[Buffer]:
    return Buffer


@pytest.fixture
def recording_id() -> RecordingId:
    return new_recording_id()


@pytest.fixture
def key() -> SecretBytes:
    return SecretBytes(os.urandom(32))


@pytest.fixture
def context(recording_id: RecordingId) -> bytes:
    return chunks.context(recording_id, "capture/0001")


@dataclass(frozen=True)
class Holder:
    """Holds the private halves of some recipients; implements `PrivateKeys`."""

    seeds: dict[str, SecretBytes]

    def open(self, wrapped: WrappedKey, info: bytes) -> SecretBytes:
        if wrapped.kid not in self.seeds:
            raise KeyUnavailableError("not here")
        private = xwing.private_key(self.seeds[wrapped.kid])
        try:
            return SecretBytes(xwing.SUITE.decrypt(wrapped.ct, private, info))
        except InvalidTag:
            raise SealBrokenError("not this one") from None

    def recipients(self) -> list[Recipient]:
        return [
            xwing_recipient(xwing.public_octets(seed)) for seed in self.seeds.values()
        ]


@pytest.fixture
def new_holder() -> Callable[[], Holder]:
    def make() -> Holder:
        seed = SecretBytes(os.urandom(32))
        return Holder({kid_of(xwing.public_octets(seed)): seed})

    return make


@pytest.fixture
def holder(new_holder: Callable[[], Holder]) -> Holder:
    return new_holder()
