import base64
import json
from pathlib import Path

import pytest

from vault.core.errors import ConfigurationError
from vault.core.secrets import SecretBytes
from vault.witness.keys import new_key, parse_key

VECTORS = Path(__file__).parents[2] / "vectors" / "audit"
GO = json.loads((VECTORS / "signed_notes.json").read_text())["vectors"][0]


def test_a_new_key_reads_back_with_its_name() -> None:
    key = new_key("witness.example/w1")

    assert "witness.example/w1" == parse_key(key).cosigner.name


def test_two_keys_are_two() -> None:
    assert parse_key(new_key("w")).cosigner != parse_key(new_key("w")).cosigner


def test_a_key_that_go_has_made_reads() -> None:
    public = base64.b64decode(GO["vkey"].split("+", 2)[2])[1:]

    assert public == parse_key(SecretBytes(GO["skey"].encode())).cosigner.public_key


@pytest.mark.parametrize("name", ["", "a b", "a+b", "a\nb", "wit\u00e9"])
def test_a_name_that_no_witness_can_have(name: str) -> None:
    with pytest.raises(ConfigurationError):
        new_key(name)


@pytest.mark.parametrize(
    "text",
    [
        "",
        "PRIVATE+KEY+w",
        GO["skey"][1:],
        GO["skey"][:-4],
        GO["skey"].replace("c74f20a3", "c74f20a4"),
        GO["skey"].replace("+AYEK", "+AoEK"),
        GO["vkey"],
    ],
)
def test_what_is_no_key_does_not_read_and_is_not_repeated(text: str) -> None:
    with pytest.raises(ConfigurationError) as raised:
        parse_key(SecretBytes(text.encode()))

    assert "YEKFALVFGy" not in str(raised.value)


def test_octets_that_are_no_text_do_not_read() -> None:
    with pytest.raises(ConfigurationError):
        parse_key(SecretBytes(b"\xff"))
