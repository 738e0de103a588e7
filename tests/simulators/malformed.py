"""Malformed INVITEs without end, of the classes that PROTOS c07-sip tried in 2002.

A message is made from its number alone: a failure names it, and it can be made again.
Each is a sound SIPREC INVITE with one to three things done to it.
"""

import random
from collections.abc import Callable, Iterator
from typing import Final

BODY: Final = (
    b"--b\r\nContent-Type: application/sdp\r\n\r\n"
    b"v=0\r\no=- 1 1 IN IP4 192.0.2.1\r\ns=-\r\nc=IN IP4 192.0.2.1\r\nt=0 0\r\n"
    b"m=audio 20106 RTP/SAVP 0\r\na=sendonly\r\na=label:1\r\n"
    b"a=crypto:1 AES_CM_128_HMAC_SHA1_80 "
    b"inline:AQIDBAUGBwgJCgsMDQ4PEBESExQVFhcYGRobHB0e\r\n"
    b"\r\n--b\r\nContent-Type: application/rs-metadata+xml\r\n"
    b"Content-Disposition: recording-session\r\n\r\n"
    b"<?xml version='1.0'?><recording xmlns='urn:ietf:params:xml:ns:recording:1'>"
    b"<datamode>complete</datamode></recording>\r\n--b--\r\n"
)
HEAD: Final = (
    b"INVITE sip:srs@192.0.2.1 SIP/2.0",
    b"Via: SIP/2.0/UDP 192.0.2.7:5060;branch=z9hG4bK7d3fa1e8b9;rport",
    b"Max-Forwards: 70",
    b'From: "Recording Client" <sip:src@192.0.2.7>;tag=9fxced76sl',
    b"To: <sip:srs@192.0.2.1>",
    b"Call-ID: 1e3fd8c8-4cd1-11ef@192.0.2.7",
    b"CSeq: 101 INVITE",
    b"Contact: <sip:src@192.0.2.7:5060>;+sip.src",
    b"Require: siprec",
    b"Session-Expires: 1800;refresher=uac",
    b"Content-Type: multipart/mixed;boundary=b",
)
_LENGTHS: Final = [2**n + d for n in range(4, 17) for d in (-1, 0, 1)]
_NUMBERS: Final = [
    *(
        str(2**n + d).encode()
        for n in (7, 8, 15, 16, 31, 32, 63, 64)
        for d in (-1, 0, 1)
    ),
    b"-1",
    b"-2147483649",
    b"+1",
    b"00000000000000000001",
    b"1e9",
    b"0x41",
    b"1.5",
    b"",
    b" ",
    b"9" * 5_000,
    "\u0661\u0662".encode(),
]
_STRINGS: Final = [
    b"%n%n%n%n%s%s%s%s",
    b"%00",
    b"\x00",
    b"\xff\xfe\xfd",
    b"\xc0\xaf",
    b"\xed\xa0\x80",
    b"\xf4\x90\x80\x80",
    "\u2028\u0085\u202e".encode(),
    b"\x1b[2J",
    b"\r",
    b"\n",
    b"\r\n",
    b"\r\n\r\n",
    b"\n\n",
    b"\r\n ",
    b"\t",
    b'"',
    b"\\",
    b"<",
    b">",
    b"<<<<>>>>",
    b",",
    b";;;;",
    b"=",
    b"@",
    b"@@",
    b":",
    b"[",
    b"[::1",
    b"?",
    b"*",
    b"SIP/2.0",
    b"sip:",
    b"' OR 1=1 --",
    b"../../../../etc/passwd",
]
Mutation = Callable[[random.Random, list[bytes], bytearray], None]


def sound(number: int = 0) -> bytes:
    """Return an INVITE with nothing wrong; *number* makes its own transaction."""
    mark = b"%d" % number
    head = [
        *(line.replace(b"z9hG4bK7d3f", b"z9hG4bK%s" % mark) for line in HEAD),
        b"Content-Length: %d" % len(BODY),
    ]
    call = [line.replace(b"1e3fd8c8", mark) for line in head]
    return b"\r\n".join([*call, b"", b""]) + BODY


def malformed(number: int) -> bytes:
    """Return the malformed INVITE of this number; some are odd but sound."""
    chance = random.Random(number)
    head, body = list(HEAD), bytearray(BODY)
    length = b"Content-Length: %d" % len(body)
    head.insert(chance.randrange(1, len(head) + 1), length)
    for _ in range(chance.randint(1, 3)):
        chance.choice(_MUTATIONS)(chance, head, body)
    end = chance.choices([b"\r\n", b"\n", b"\r"], [8, 1, 1])[0]
    octets = end.join([*head, b"", b""]) + bytes(body)
    if chance.random() < 0.1:
        octets = octets[: chance.randrange(len(octets) + 1)]
    return octets


def every_malformed(count: int) -> Iterator[bytes]:
    """Yield the first *count* of them."""
    return (malformed(number) for number in range(count))


def _place(chance: random.Random, head: list[bytes]) -> int:
    return chance.randrange(len(head)) if head else 0


def _inserted(chance: random.Random, head: list[bytes], octets: bytes) -> None:
    if head:
        row = _place(chance, head)
        at = chance.randrange(len(head[row]) + 1)
        head[row] = head[row][:at] + octets + head[row][at:]


def _overflow(chance: random.Random, head: list[bytes], _: bytearray) -> None:
    filler = chance.choice(
        [b"a", b"1", b" ", b"%n", b"\x00", b"\xff", b'"', b"<", b";", b","]
    )
    _inserted(chance, head, filler * (chance.choice(_LENGTHS) // len(filler)))


def _string(chance: random.Random, head: list[bytes], _: bytearray) -> None:
    _inserted(chance, head, chance.choice(_STRINGS))


def _number(chance: random.Random, head: list[bytes], _: bytearray) -> None:
    name = chance.choice(
        [
            b"CSeq: %s INVITE",
            b"Max-Forwards: %s",
            b"Content-Length: %s",
            b"SIP/2.0 %s OK",
            b"Session-Expires: %s",
            b"Via: SIP/2.0/UDP h:%s;branch=1",
            b"INVITE sip:a@b:%s SIP/2.0",
        ]
    )
    line = name % chance.choice(_NUMBERS)
    key = name.partition(b":")[0]
    rows = [at for at, row in enumerate(head) if row.startswith(key)]
    if key.startswith((b"SIP", b"INVITE")):
        head[:1] = [line]
    elif rows:
        head[rows[0]] = line
    else:
        head.append(line)


def _removed(chance: random.Random, head: list[bytes], _: bytearray) -> None:
    if head:
        del head[_place(chance, head)]


def _doubled(chance: random.Random, head: list[bytes], _: bytearray) -> None:
    if head:
        row = _place(chance, head)
        head.insert(_place(chance, head), head[row])
        _inserted(chance, head, b"x")


def _emptied(chance: random.Random, head: list[bytes], _: bytearray) -> None:
    if head:
        row = _place(chance, head)
        head[row] = head[row].partition(b":")[0] + chance.choice([b"", b":", b": "])


def _multiplied(chance: random.Random, head: list[bytes], _: bytearray) -> None:
    if head:
        row = _place(chance, head)
        head[row:row] = [head[row]] * chance.choice([2, 70, 1_001, 5_000])


def _flipped(chance: random.Random, head: list[bytes], body: bytearray) -> None:
    for _ in range(chance.randint(1, 20)):
        if body:
            body[chance.randrange(len(body))] = chance.randrange(256)
        if head:
            row = _place(chance, head)
            line = bytearray(head[row])
            if line:
                line[chance.randrange(len(line))] = chance.randrange(256)
            head[row] = bytes(line)


def _body(chance: random.Random, _: list[bytes], body: bytearray) -> None:
    at = chance.randrange(len(body) + 1)
    body[at:at] = chance.choice(
        [*_STRINGS, b"--b\r\n" * 70, b"--b--\r\n", b"A" * 65_537]
    )


def _shortened(chance: random.Random, _: list[bytes], body: bytearray) -> None:
    del body[chance.randrange(len(body) + 1) :]


_MUTATIONS: Final[list[Mutation]] = [
    _overflow,
    _string,
    _string,
    _number,
    _number,
    _removed,
    _doubled,
    _emptied,
    _multiplied,
    _flipped,
    _body,
    _shortened,
]
