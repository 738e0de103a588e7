import pytest
from starlette.datastructures import Headers

from vault.edge.framing import framing_problem
from vault.edge.problems import BAD_REQUEST, WRONG_METHOD

HOST = (b"host", b"vault.test")


def framing(
    *headers: tuple[bytes, bytes],
    target: bytes = b"/",
    method: str = "GET",
    version: str = "1.1",
) -> object:
    scope = {
        "type": "http",
        "method": method,
        "http_version": version,
        "path": target.decode(),
        "raw_path": target,
    }
    return framing_problem(scope, Headers(raw=list(headers)))


@pytest.mark.parametrize(
    "headers",
    [
        (HOST, (b"content-length", b"3")),
        (HOST, (b"transfer-encoding", b"chunked")),
        (HOST, (b"x", b"tab\tand \xe4")),
        ((b"host", b"[2001:db8::1]:8443"),),
        ((b"host", b"127.0.0.1:8080"),),
        ((b"host", b"a"),),
        ((b"host", b"pbx_1.example.:80"),),
    ],
)
def test_an_ordinary_request_passes(headers: tuple[tuple[bytes, bytes], ...]) -> None:
    assert framing(*headers) is None


@pytest.mark.parametrize(
    "headers",
    [
        (),
        (HOST, HOST),
        (HOST, (b"content-length", b"3"), (b"transfer-encoding", b"chunked")),
        (HOST, (b"content-length", b"3"), (b"content-length", b"4")),
        (HOST, (b"content-length", b"3"), (b"content-length", b"3")),
        (HOST, (b"transfer-encoding", b"a"), (b"transfer-encoding", b"chunked")),
        (HOST, (b"transfer-encoding", b"gzip, chunked")),
        (HOST, (b"transfer-encoding", b"identity")),
        (HOST, *[(b"x-%d" % n, b"") for n in range(100)]),
        (HOST, (b"x", b"a" * 16_384)),
        (HOST, *[(b"x-%d" % n, b"a" * 1000) for n in range(17)]),
        (HOST, (b"x y", b"a")),
        (HOST, (b"", b"a")),
        *[(HOST, (b"x", b"a" + bytes([n]) + b"b")) for n in (0, 8, 10, 13, 27, 127)],
    ],
)
def test_two_framings_hosts_or_too_much_are_refused(
    headers: tuple[tuple[bytes, bytes], ...],
) -> None:
    assert framing(*headers) == BAD_REQUEST


@pytest.mark.parametrize(
    "length", [b"+4", b"-1", b"1e3", b"4, 4", "\u0664".encode(), b"", b" 4", b"9" * 13]
)
def test_a_length_that_is_no_number_is_refused(length: bytes) -> None:
    assert framing(HOST, (b"content-length", length)) == BAD_REQUEST


@pytest.mark.parametrize(
    "host",
    [
        b"", b"example.com/?", b"a@b", b"a b", b"a,b", b"a#", b"a?", b"a\\b", b"-a",
        b"a:", b"a:x", b"a:123456", b"[::1", b"[::1]x", b"::1", b"a%00", b"a" * 300,
    ],
)  # fmt: skip
def test_h10_a_host_that_is_none_is_refused(host: bytes) -> None:
    assert framing((b"host", host)) == BAD_REQUEST


@pytest.mark.parametrize(
    "target", [b"http://evil.test/", b"*", b"evil.test:443", b"//evil.test/"]
)
def test_a_target_that_is_no_path_is_refused(target: bytes) -> None:
    assert framing(HOST, target=target) == BAD_REQUEST


@pytest.mark.parametrize("method", ["TRACE", "CONNECT", "BREW", "get", "PROPFIND"])
def test_h19_a_method_that_nobody_answers_is_405(method: str) -> None:
    assert framing(HOST, method=method) == WRONG_METHOD


@pytest.mark.parametrize("version", ["0.9", "1.2", "2", "9.9"])
def test_another_version_is_refused(version: str) -> None:
    assert framing(HOST, version=version) == BAD_REQUEST


def test_chunks_do_not_come_by_http_1_0() -> None:
    assert framing(HOST, version="1.0") is None
    assert BAD_REQUEST == framing(
        HOST, (b"transfer-encoding", b"chunked"), version="1.0"
    )
