import pytest

from tests.simulators.sip_caller import OFFER, Caller
from vault.sip.dialog_headers import has_offer, is_loose, joined, target
from vault.sip.messages import Headers


@pytest.mark.parametrize(
    ("uri", "loose"),
    [
        ("sip:p1;lr", True),
        ("sip:p1;transport=tcp;LR=on", True),
        ("sip:lr@p1", False),
        ("sip:p1;lrx", False),
        ("sip:p1?lr", False),
    ],
)
def test_a_proxy_says_by_lr_that_it_leaves_the_target_alone(
    uri: str, *, loose: bool
) -> None:
    assert loose is is_loose(uri)


@pytest.mark.parametrize(
    ("kind", "offers"),
    [
        ("application/sdp", True),
        ("multipart/mixed;boundary=rs-metadata", True),
        ("application/rs-metadata+xml", False),
        ("Application/RS-Metadata; charset=x", False),
    ],
)
def test_metadata_alone_offers_nothing(kind: str, *, offers: bool) -> None:
    assert offers is has_offer(Caller().request("UPDATE", body=OFFER, kind=kind))
    assert not has_offer(Caller().request("UPDATE"))


def test_a_target_is_kept_only_if_it_is_of_use() -> None:
    long = f"<sip:{'x' * 5000}@h>"
    found = [target(Headers((("Contact", one),))) for one in ("<SIPS:a@h>", long, "*")]

    assert ["SIPS:a@h", "", ""] == found


def test_lists_are_said_on_one_line_and_nothing_twice() -> None:
    headers = Headers((("Require", "siprec"), ("Require", "x")))

    assert "siprec, x, timer" == joined(headers, "Require", "timer").one("Require")
    assert headers is joined(headers, "Require", "x")
