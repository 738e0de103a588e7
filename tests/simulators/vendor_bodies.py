"""Bodies of the shared corpus as their senders put them on the wire."""

import base64
import re
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from vault.core.media import SrtpSuite
from vault.core.secrets import SecretBytes

SUITE: Final = SrtpSuite.AES_CM_128_HMAC_SHA1_80
KEY: Final = SecretBytes(bytes(range(1, 31)))
INLINE: Final = base64.b64encode(KEY.reveal()).decode()
_CRYPTO: Final = f"a=crypto:1 {SUITE} inline:{INLINE}\r\n".encode()
_SECTION: Final = re.compile(rb"(?m)^(m=(?:audio|video) [^\r]*\r\n)")


@dataclass(frozen=True, slots=True, kw_only=True)
class Body:
    """One body of an INVITE."""

    name: str
    content_type: str
    octets: bytes

    @property
    def keyed(self) -> bytes:
        """It, as the same SBC sends it when it is told to use SRTP."""
        return _SECTION.sub(
            rb"\1" + _CRYPTO, re.sub(rb"RTP/AVP\b", b"RTP/SAVP", self.octets)
        )


def corpus_bodies(shared: Path) -> list[Body]:
    """Return every body, with the line ends that the wire has."""
    files = sorted((shared / "corpus" / "siprec-bodies").glob("*.txt"))
    return [one for file in files for one in _of(file)]


def _of(file: Path) -> list[Body]:
    text = re.sub(rb"\r?\n", b"\r\n", file.read_bytes())
    mark = re.match(rb"\s*--([^\r]+)\r\n", text)
    if mark is not None:
        kind = f"multipart/mixed;boundary={mark[1].decode().strip()}"
        return [Body(name=file.stem, content_type=kind, octets=text)]
    return [
        Body(name=file.stem, content_type="application/sdp", octets=one.lstrip())
        for one in text.split(b"__split_here__")
    ]


def sections(body: bytes) -> list[list[bytes]]:
    """Return the media sections of the SDP in *body*, each a list of its lines."""
    found: list[list[bytes]] = []
    for line in body[body.find(b"v=0") :].split(b"\r\n"):
        if line.startswith(b"m="):
            found.append([line])
        elif not line or line.startswith(b"--"):
            if found:
                break
        elif found:
            found[-1].append(line)
    return found


def attribute(section: list[bytes], name: bytes) -> list[bytes]:
    """Return the values of an attribute; an empty one where it is a flag."""
    lines = [line[2:].partition(b":") for line in section if line[:2] == b"a="]
    return [value for said, _, value in lines if said == name]
