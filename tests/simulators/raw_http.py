"""Octets to an HTTP port, and all that comes back: what no client library would send."""

import socket
from contextlib import suppress


def raw(port: int, request: bytes, *, finished: bool = True) -> bytes:
    """Return all that comes back; a reset ends it like an end does.

    A server that answers before it has read the whole request may have reset
    the connection already: `shutdown` then says ENOTCONN, and the answer is
    still there to be read.

    Args:
        port: Of this machine.
        request: What is sent.
        finished: Whether nothing more will come (FIN): else the server has to end.
    """
    found = b""
    peer = socket.create_connection(("127.0.0.1", port), timeout=20)
    with peer, suppress(ConnectionError):
        with suppress(OSError):
            peer.sendall(request)
            if finished:
                peer.shutdown(socket.SHUT_WR)
        while chunk := peer.recv(65_536):
            found += chunk
    return found


def status_of(answer: bytes) -> int:
    """Return the status of the first answer; 0 where there is none."""
    return int(answer[9:12]) if answer.startswith(b"HTTP/1.1 ") else 0


def answers_in(octets: bytes) -> int:
    """Return how many answers there are."""
    return octets.count(b"HTTP/1.1 ")


def smuggled(host: bytes = b"a") -> dict[str, bytes]:
    """Return requests that two readers could part in two ways, by name (H9)."""
    get = b"GET /healthz HTTP/1.1\r\nHost: " + host + b"\r\n"
    post = b"POST /api/v1/sessions HTTP/1.1\r\nHost: " + host + b"\r\n"
    chunked = post + b"Transfer-Encoding: chunked\r\n"
    return {
        "cl-te": chunked + b"Content-Length: 4\r\n\r\n0\r\n\r\n",
        "te-cl": post
        + b"Content-Length: 4\r\nTransfer-Encoding: chunked\r\n\r\n5c\r\n",
        "te-te": chunked + b"Transfer-Encoding: x\r\n\r\n0\r\n\r\n",
        "te-x-chunked": post + b"Transfer-Encoding: x, chunked\r\n\r\n0\r\n\r\n",
        "te-xchunked": post + b"Transfer-Encoding: xchunked\r\n\r\n0\r\n\r\n",
        "te-identity": post + b"Transfer-Encoding: identity\r\n\r\n",
        "te-vertical-tab": post + b"Transfer-Encoding: \x0bchunked\r\n\r\n0\r\n\r\n",
        "te-space-colon": post + b"Transfer-Encoding : chunked\r\n\r\n0\r\n\r\n",
        "te-in-1.0": chunked.replace(b"1.1", b"1.0") + b"\r\n0\r\n\r\n",
        "two-lengths": post + b"Content-Length: 4\r\nContent-Length: 5\r\n\r\nabcd",
        "same-length-twice": post + b"Content-Length: 4\r\n" * 2 + b"\r\nabcd",
        "length-list": post + b"Content-Length: 4, 5\r\n\r\nabcd",
        "plus-length": post + b"Content-Length: +4\r\n\r\nabcd",
        "minus-length": post + b"Content-Length: -4\r\n\r\nabcd",
        "hex-length": post + b"Content-Length: 0x4\r\n\r\nabcd",
        "huge-length": post + b"Content-Length: 99999999999999999999\r\n\r\nabcd",
        "bare-lf": get.replace(b"\r\n", b"\n") + b"\n",
        "bare-lf-in-one-line": get + b"X: y\nZ: z\r\n\r\n",
        "bare-cr": get + b"X: y\rZ: z\r\n\r\n",
        "bare-lf-at-the-end": get + b"\n",
        "obs-fold": get + b"X: y\r\n z\r\n\r\n",
        "obs-fold-first": get.partition(b"Host")[0] + b" Host: a\r\n\r\n",
        "space-before-colon": get + b"X : y\r\n\r\n",
        "no-colon": get + b"nonsense\r\n\r\n",
        "two-hosts": get + b"Host: b\r\n\r\n",
        "no-host": b"GET /healthz HTTP/1.1\r\n\r\n",
        "empty-host": b"GET /healthz HTTP/1.1\r\nHost:\r\n\r\n",
        "absolute-form": get.replace(b"/healthz", b"http://a/healthz") + b"\r\n",
        "authority-form": b"CONNECT a:443 HTTP/1.1\r\nHost: a\r\n\r\n",
        "asterisk": b"OPTIONS * HTTP/1.1\r\nHost: a\r\n\r\n",
        "two-slashes": get.replace(b"/healthz", b"//b/healthz") + b"\r\n",
        "fragment-first": get.replace(b"/healthz", b"#/healthz") + b"\r\n",
        "http-0.9": b"GET /healthz\r\n",
        "http-9.9": get.replace(b"HTTP/1.1", b"HTTP/9.9") + b"\r\n",
        "http-2-preface": b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n",
        "two-spaces": get.replace(b"GET ", b"GET  ") + b"\r\n",
        "tab-in-the-line": get.replace(b"GET ", b"GET\t") + b"\r\n",
        "line-first": b"\r\n" + get + b"\r\n",
        "10000-headers": get
        + b"".join(b"X-%d: y\r\n" % n for n in range(10_000))
        + b"\r\n",
        "101-headers": get + b"".join(b"X-%d: y\r\n" % n for n in range(101)) + b"\r\n",
        "1-MB-header": get + b"X: " + b"y" * 1_000_000 + b"\r\n\r\n",
        "17-KB-header": get + b"X: " + b"y" * 17_000 + b"\r\n\r\n",
        "long-target": get.replace(b"/healthz", b"/" + b"a" * 70_000) + b"\r\n",
        "nul": get + b"X: a\0b\r\n\r\n",
        "escape": get + b"X: a\x1bb\r\n\r\n",
        "delete": get + b"X: a\x7fb\r\n\r\n",
        "chunk-extension": chunked + b"\r\n2;a=b\r\n{}\r\n0\r\n\r\n",
        "chunk-terminator": chunked + b"\r\n2\r\n{}XX0\r\n\r\n",
        "chunk-bare-lf": chunked + b"\r\n2\n{}\r\n0\r\n\r\n",
        "chunk-plus": chunked + b"\r\n+2\r\n{}\r\n0\r\n\r\n",
        "chunk-hex": chunked + b"\r\n0x2\r\n{}\r\n0\r\n\r\n",
        "chunk-huge": chunked + b"\r\n" + b"f" * 40 + b"\r\n{}\r\n0\r\n\r\n",
        "trailer-bare-lf": chunked + b"\r\n2\r\n{}\r\n0\r\nX: y\n\r\n\r\n",
        "tls-hello": b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03" + b"\0" * 100,
    }
