import pytest

from vault.access.ldap_entries import (
    Entry,
    dn_escaped,
    filter_escaped,
    id_filter,
    shut,
    stable_id,
)
from vault.core.errors import InvalidInputError

NOW_NS = 1_795_000_000 * 10**9
_EPOCH_TICKS = 116_444_736_000_000_000


def entry(**attributes: bytes | tuple[bytes, ...]) -> Entry:
    return Entry(
        dn="uid=ann,dc=x",
        attributes={
            name.lower(): value if isinstance(value, tuple) else (value,)
            for name, value in attributes.items()
        },
    )


def ticks(seconds: int) -> bytes:
    return str(_EPOCH_TICKS + seconds * 10**7).encode()


@pytest.mark.parametrize(
    "attributes",
    [
        {},
        {"userAccountControl": b"512"},
        {"userAccountControl": b"66048"},
        {"nsAccountLock": b"FALSE"},
        {"nsAccountLock": b"false"},
        {"nsAccountLock": b"0"},
        {"nsAccountLock": b" False "},
        {"loginDisabled": b"FALSE"},
        {"accountExpires": b"0"},
        {"accountExpires": b"9223372036854775807"},
        {"accountExpires": ticks(1_795_000_001)},
    ],
)
def test_h42_an_account_that_is_open_is_open(attributes: dict[str, bytes]) -> None:
    """CVE-2026-40683 took the text "FALSE" for true; here it is read."""
    assert "" == shut(entry(**attributes), now_ns=NOW_NS)


@pytest.mark.parametrize(
    "attributes",
    [
        {"userAccountControl": b"514"},
        {"userAccountControl": b"66050"},
        {"userAccountControl": b"-2147483134"},
        {"userAccountControl": b""},
        {"userAccountControl": b"0x200"},
        {"userAccountControl": b"9" * 40},
        {"userAccountControl": (b"512", b"512")},
        {"nsAccountLock": b"TRUE"},
        {"nsAccountLock": b"true"},
        {"nsAccountLock": b"1"},
        {"nsAccountLock": b""},
        {"nsAccountLock": b"maybe"},
        {"nsAccountLock": (b"false", b"true")},
        {"loginDisabled": b"TRUE"},
        {"pwdAccountLockedTime": b"000001010000Z"},
        {"pwdAccountLockedTime": b"20261123120000Z"},
        {"accountExpires": ticks(1_795_000_000)},
        {"accountExpires": b"1"},
        {"accountExpires": b"-1"},
        {"accountExpires": b"never"},
    ],
)
def test_h42_what_shuts_or_cannot_be_read_shuts(
    attributes: dict[str, bytes],
) -> None:
    assert shut(entry(**attributes), now_ns=NOW_NS)


def test_a_guid_is_spelled_as_active_directory_spells_it() -> None:
    octets = bytes(range(16))
    spelled = stable_id(entry(objectGUID=octets), "objectGUID")

    assert "03020100-0504-0706-0809-0a0b0c0d0e0f" == spelled
    assert "(objectGUID=" + "".join(
        f"\\{one:02x}" for one in octets
    ) + ")" == id_filter("objectGUID", spelled)


@pytest.mark.parametrize(
    ("attribute", "values"),
    [
        ("entryUUID", ()),
        ("entryUUID", (b"one", b"two")),
        ("entryUUID", (b"",)),
        ("entryUUID", (b"\xff",)),
        ("entryUUID", (b"x" * 256,)),
        ("entryUUID", (b"line\nbreak",)),
        ("objectGUID", (b"short",)),
        ("objectGUID", ()),
    ],
)
def test_without_one_sound_id_there_is_none(
    attribute: str, values: tuple[bytes, ...]
) -> None:
    with pytest.raises(InvalidInputError):
        stable_id(entry(**{attribute: values}), attribute)


def test_no_id_becomes_a_condition() -> None:
    assert r"(entryUUID=\2a\29\28uid=\2a)" == id_filter("entryUUID", "*)(uid=*")
    with pytest.raises(InvalidInputError):
        id_filter("objectGUID", "*)(uid=*")


def test_h42_a_filter_keeps_its_shape() -> None:
    assert r"\2a\29\28uid=\2a\5c\00" == filter_escaped("*)(uid=*\\\0")


@pytest.mark.parametrize(
    ("text", "escaped"),
    [
        ('a,b+c"d\\e<f>g;h=i', r"a\,b\+c\"d\\e\<f\>g\;h\=i"),
        (" a ", "\\ a\\ "),
        ("#a#", r"\#a#"),
        ("a\0", r"a\00"),
        ("M\u00fcller", "M\u00fcller"),
    ],
)
def test_h42_a_name_keeps_its_shape(text: str, escaped: str) -> None:
    assert escaped == dn_escaped(text)


def test_a_text_that_is_not_one_is_none() -> None:
    assert "ann" == entry(uid=b"ann").text("UID")
    for values in ((), (b"a", b"b"), (b"\xff",)):
        with pytest.raises(InvalidInputError):
            entry(uid=values).text("uid")
