from vault.sip.messages import Headers, Request
from vault.siprec.bodies import Bodies
from vault.siprec.documents import documents_of

ROWS = (
    ("Call-ID", "abc"),
    ("Authorization", 'Digest response="secret"'),
    ("Proxy-Authorization", "Digest more"),
    ("X-Vendor", "Bl\udcfccher"),
)


def request(method: str) -> Request:
    return Request(method=method, uri="sip:x", headers=Headers(ROWS))


def test_an_invite_keeps_its_headers_without_credentials_octet_for_octet() -> None:
    (headers,) = documents_of(request("INVITE"), Bodies())

    assert ("invite-headers", b"Call-ID: abc\r\nX-Vendor: Bl\xfccher\r\n") == (
        headers.kind,
        headers.octets,
    )


def test_metadata_and_descriptors_are_kept_as_they_came() -> None:
    bodies = Bodies(metadata=b"<x", gtd=b"GCI,1")
    found = documents_of(request("UPDATE"), bodies)

    assert [("rs-metadata", b"<x"), ("gtd", b"GCI,1")] == [
        (one.kind, one.octets) for one in found
    ]


def test_what_is_kept_has_an_end() -> None:
    (document,) = documents_of(request("INFO"), Bodies(metadata=bytes(10**6)))

    assert 256 * 1024 == len(document.octets)
