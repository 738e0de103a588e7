"""Sealed octets to read from, and recipients to wrap for."""

import os
from dataclasses import dataclass, field

import pytest

from vault.core.ids import RecordingId, new_recording_id
from vault.core.secrets import SecretBytes
from vault.sealing import chunks


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
