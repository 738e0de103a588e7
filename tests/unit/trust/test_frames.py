import socket
import struct

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from vault.core.errors import InvalidInputError
from vault.trust import frames

Pair = tuple[socket.socket, socket.socket]

# How long an example takes says more about the machine than about us.
_PATIENT = settings(deadline=None, suppress_health_check=[HealthCheck.too_slow])


@_PATIENT
@given(octets=st.binary(min_size=2, max_size=2000))
def test_what_was_framed_is_received(octets: bytes) -> None:
    ours, theirs = socket.socketpair()
    with ours, theirs:
        ours.sendall(frames.frame(octets))

        assert octets == frames.receive(theirs)


def test_a_peer_that_closes_between_frames_has_simply_gone(pair: Pair) -> None:
    ours, theirs = pair
    ours.sendall(frames.frame(b"{}"))
    ours.shutdown(socket.SHUT_WR)

    assert frames.receive(theirs) == b"{}"
    assert frames.receive(theirs) is None


@pytest.mark.parametrize("part", [1, 3, 4, 7])
def test_a_stream_that_ends_inside_a_frame_is_an_error(pair: Pair, part: int) -> None:
    ours, theirs = pair
    ours.sendall(frames.frame(b"[1,2]")[:part])
    ours.shutdown(socket.SHUT_WR)

    with pytest.raises(InvalidInputError):
        frames.receive(theirs)


@pytest.mark.parametrize("size", [0, 1, frames.MAX_FRAME_BYTES + 1, 2**32 - 1])
def test_an_impossible_length_is_refused_before_anything_is_read(
    pair: Pair, size: int
) -> None:
    ours, theirs = pair
    ours.sendall(struct.pack(">I", size))

    with pytest.raises(InvalidInputError):
        frames.receive(theirs)


def test_more_than_a_frame_holds_is_not_framed() -> None:
    assert len(frames.frame(bytes(frames.MAX_FRAME_BYTES))) == 4 + (1 << 20)
    with pytest.raises(InvalidInputError):
        frames.frame(bytes(frames.MAX_FRAME_BYTES + 1))
