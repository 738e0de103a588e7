import hashlib
import hmac
import re
from pathlib import Path

import pytest

from vault.core.errors import InvalidInputError
from vault.core.secrets import SecretBytes
from vault.warden.index import (
    MOST_PARTICIPANTS,
    BlindIndex,
    name_form,
    party_form,
    searchable,
)

KEY = SecretBytes(bytes(range(32)))


@pytest.fixture(scope="module")
def index() -> BlindIndex:
    return BlindIndex(KEY)


@pytest.mark.parametrize(
    ("typed", "normal"),
    [
        ("+49 (30) 123-45", "+493012345"),
        ("030 / 12345", "03012345"),
        ("tel:+49-30-12345", "+493012345"),
        ("  117  ", "117"),
        ("\uff0b\uff14\uff19 30", "+4930"),
        ("1+2", "12"),
        ("Anonymous", "anonymous"),
        ("  STRASSE ", "strasse"),
        ("Stra\u00dfe", "strasse"),
        ("", ""),
        ("   ", ""),
    ],
)
def test_a_party_has_one_spelling(typed: str, normal: str) -> None:
    assert party_form(typed) == normal


def test_an_agent_keeps_digits_and_letters() -> None:
    assert name_form(" Agent-07 ") == "agent-07"


def test_a_token_is_what_the_specification_says(index: BlindIndex) -> None:
    """Computed with the standard library alone: RFC 5869 by hand."""
    prk = hmac.digest(bytes(32), KEY.reveal(), "sha256")
    info = b"callvault/v1\x00index\x00caller"
    key = hmac.digest(prk, info + b"\x01", "sha256")
    mac = hmac.new(key, b"2026-11\x00+493012345", hashlib.sha256).digest()

    assert mac[:8] == index.token(field="caller", value="+49 30 12345", month="2026-11")


def test_field_and_month_keep_tokens_apart(index: BlindIndex) -> None:
    tokens = {
        index.token(field=field, value="12345", month=month)
        for field in ("caller", "callee", "agent")
        for month in ("2026-10", "2026-11")
    }

    assert len(tokens) == 6


def test_spelling_does_not_keep_tokens_apart(index: BlindIndex) -> None:
    assert index.token(
        field="callee", value="+49 30 12345", month="2026-11"
    ) == index.token(field="callee", value="+49-(30)-12345", month="2026-11")


def test_another_index_key_makes_other_tokens(index: BlindIndex) -> None:
    other = BlindIndex(SecretBytes(bytes(32)))

    assert index.token(field="agent", value="a", month="2026-11") != other.token(
        field="agent", value="a", month="2026-11"
    )


def test_nothing_has_no_token(index: BlindIndex) -> None:
    assert index.token(field="caller", value="  ", month="2026-11") is None


def test_there_are_no_other_fields(index: BlindIndex) -> None:
    with pytest.raises(InvalidInputError):
        index.token(field="party", value="1", month="2026-11")


def test_the_tokens_in_the_format_page_are_ours(index: BlindIndex) -> None:
    page = Path(__file__).parents[3] / "docs/reference/formats/sealed-row.md"
    rows = re.findall(
        r"\| `(\w+)` \| `([^`]+)` \| `([0-9a-f]{16})` \|", page.read_text()
    )

    assert len(rows) == 2
    for field, value, token in rows:
        found = index.token(field=field, value=value, month="2026-11")
        assert found is not None
        assert found.hex() == token


def test_a_call_is_found_by_whoever_took_part() -> None:
    participants = [
        {"aor": "sip:+4930901820@trunk.example;user=phone", "agent": ""},
        {"aor": "<sip:1001@pbx>", "agent": "anna"},
        {"aor": 7},
    ]
    metadata = {
        "caller": "1",
        "callee": 2,
        "agent": "eve",
        "participants": participants,
    }

    assert [
        ("agent", "eve"), ("caller", "1"), ("callee", "+4930901820"), ("agent", ""),
        ("callee", "1001"), ("agent", "anna"), ("callee", "7"), ("agent", ""),
    ] == list(searchable(metadata))  # fmt: skip


@pytest.mark.parametrize("participants", [None, "text", 7, {}, ["text", 7]])
def test_participants_that_are_none_are_passed_over(participants: object) -> None:
    assert [] == list(searchable({"participants": participants}))


def test_as_many_participants_are_searchable_as_an_answer_holds() -> None:
    many = [{"aor": str(n), "agent": str(n)} for n in range(1000)]

    assert 2 * MOST_PARTICIPANTS == len(list(searchable({"participants": many})))
    assert 2 * MOST_PARTICIPANTS + 3 <= 64
