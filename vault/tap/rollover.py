"""Which rollover counter an SRTP packet was sent under, found by trial.

A receiver that comes late, or lost more than half a number space, cannot know
the counter: it is not in the packet, yet the tag covers it.  So candidates are
tried, each at the price of one tag, without any session and without state.

    if (tried := session.trial(packet)) is not None:
        candidates = likely_rollovers(current=highest >> 16)
        roc = find_rollover(session.suite, *tried, candidates, after=highest)
        if roc is not None:
            join(session, packet, roc)

What calls for a trial is a packet that is unauthentic *or too old*: beyond half
the number space, a session takes what comes next for what came long ago.

Guarantees: a counter is returned only with a right tag of 80 bits or more.
Under a 32-bit tag a thousand candidates would make a forgery a thousand times
easier, and plain RTP has no counter: both are refused.

Left to others: how often a stream may try (`vault.tap.sweep`: forged packets
ask for trials, too).

Spec: RFC 3711 sections 3.3.1 and 4.2; RFC 7714 section 8.1 (the IV of AEAD).
"""

import hmac
from collections.abc import Callable, Iterable, Iterator
from typing import Final

from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives.ciphers.aead import AESGCM

from vault.core.media import SrtpSuite
from vault.core.secrets import SecretBytes
from vault.tap.rtp import header_size
from vault.tap.srtp_keys import SessionKeys
from vault.tap.srtp_session import REPLAY_WINDOW, InboundSession, tag_size_bytes

MOST_CANDIDATES: Final = 1024
"Two weeks of a call at 50 packets/s; some four milliseconds per packet."

_MOST: Final = 2**32
_AEAD_TAG_SIZE: Final = 16


def find_rollover(
    suite: SrtpSuite,
    key: SecretBytes,
    packet: bytes,
    candidates: Iterable[int],
    *,
    after: int = -1,
) -> int | None:
    """Return the first candidate under which *packet* is authentic.

    Args:
        suite: What protects the packet.
        key: Master key and salt.
        packet: An SRTP packet as it was received, less its MKI.
        candidates: Rollover counters, the likeliest first; the caller bounds them.
        after: The highest index received from the SSRC under this very key.  Only
            a counter that puts the packet behind it is looked for: what was
            recorded on the way and is played again would turn the counter back.

    Returns:
        The counter, or None if the packet is authentic under none of them.

    Raises:
        ValueError: A suite under which a trial proves nothing, or a key of
            another length than the suite's.
    """
    if suite.has_short_tag or suite.is_plain:
        raise ValueError(f"a trial under {suite} proves nothing")
    keys = SessionKeys.derive(suite, key)
    tag_size = _AEAD_TAG_SIZE if suite.is_aead else tag_size_bytes(suite)
    start = header_size(packet)
    if start is None or start > len(packet) - tag_size:
        return None
    is_authentic = (_aead if suite.is_aead else _hmac)(keys, packet, start)
    first = max(after + 1 - int.from_bytes(packet[2:4], "big") + 0xFFFF, 0) >> 16
    for roc in candidates:
        if first <= roc < _MOST and is_authentic(roc.to_bytes(4, "big")):
            return roc
    return None


def likely_rollovers(
    *,
    current: int | None = None,
    before: int | None = None,
    most: int = MOST_CANDIDATES,
) -> Iterator[int]:
    """Yield candidates: the hints first, then outwards from all of them.

    Args:
        current: Counter of the SSRC under the key at work, if there is one.
        before: Counter of the SSRC before the last re-key; some senders keep it.
        most: How many candidates to yield.

    Yields:
        Distinct counters.  Zero counts as a hint: most senders begin there, and
        some begin there again with each key.
    """
    hints = [hint for hint in (current, before, 0) if hint is not None]
    seen: set[int] = set()
    for distance in range(most):
        for roc in (r for hint in hints for r in (hint + distance, hint - distance)):
            if len(seen) < most and 0 <= roc < _MOST and roc not in seen:
                seen.add(roc)
                yield roc


def join(session: InboundSession, packet: bytes, roc: int) -> bool:
    """Make *packet* the next that *session* accepts, under *roc*.

    What was sent shortly before it may still come: nothing in its replay
    window counts as received.

    Returns:
        Whether the session could be led there.
    """
    seq, ssrc = int.from_bytes(packet[2:4], "big"), int.from_bytes(packet[8:12], "big")
    return session.fast_forward(ssrc, (roc << 16 | seq) - REPLAY_WINDOW - 1)


def _hmac(keys: SessionKeys, packet: bytes, _start: int) -> Callable[[bytes], bool]:
    size = tag_size_bytes(SrtpSuite.AES_CM_128_HMAC_SHA1_80)
    stop = len(packet) - size
    # The packet is hashed once; a candidate costs its own four octets.
    common = hmac.new(keys.authentication, packet[:stop], "sha1")

    def is_authentic(roc: bytes) -> bool:
        mac = common.copy()
        mac.update(roc)
        return hmac.compare_digest(mac.digest()[:size], packet[stop:])

    return is_authentic


def _aead(keys: SessionKeys, packet: bytes, start: int) -> Callable[[bytes], bool]:
    cipher = AESGCM(keys.encryption)
    salt = int.from_bytes(keys.salt, "big")
    header, sealed = packet[:start], packet[start:]

    def is_authentic(roc: bytes) -> bool:
        # Two null octets, SSRC, rollover counter and sequence number.
        index = int.from_bytes(packet[8:12] + roc + packet[2:4], "big")
        nonce = (salt ^ index).to_bytes(12, "big")
        try:
            cipher.decrypt(nonce, sealed, header)
        except InvalidTag:
            return False
        return True

    return is_authentic
