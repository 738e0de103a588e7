import base64
import json
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from vault.core.errors import InvalidInputError, SealBrokenError
from vault.core.media import SrtpSuite
from vault.renditions.late_keys import LateKeys
from vault.sealing.padding import pad

CM = base64.b64encode(bytes(range(30))).decode()
GCM = base64.b64encode(bytes(range(44))).decode()
LINES = f"""
# from the log of the SBC
agent\ta=crypto:1 AES_CM_128_HMAC_SHA1_80 inline:{CM}|2^31|1:4
1         AEAD_AES_256_GCM inline:{GCM}\troc=3

*         crypto:7 AES_CM_128_HMAC_SHA1_32 inline:{CM}
"""


def test_lines_are_what_stands_in_the_sdp() -> None:
    agent, second, every = LateKeys.parse(LINES.encode()).keys

    assert ("agent", SrtpSuite.AES_CM_128_HMAC_SHA1_80, None) == (
        agent.stream,
        agent.crypto.suite,
        agent.roc,
    )
    assert [(b"\x00\x00\x00\x01", bytes(range(30)))] == [
        (one.mki, one.key.reveal()) for one in agent.crypto.mkis
    ]
    assert ("1", bytes(range(44)), 3) == (
        second.stream,
        second.crypto.key.reveal(),
        second.roc,
    )
    assert (SrtpSuite.AES_CM_128_HMAC_SHA1_32, 7) == (
        every.crypto.suite,
        every.crypto.tag,
    )


def test_what_is_sealed_is_read_back_as_the_same_keys() -> None:
    keys = LateKeys.parse(LINES.encode())

    assert keys == LateKeys.parse(bytes(keys))
    assert bytes(keys) == bytes(LateKeys.parse(bytes(keys)))


def test_json_says_the_same() -> None:
    said = {
        "keys": [
            {
                "stream": "agent",
                "crypto": f"1 AES_CM_128_HMAC_SHA1_80 inline:{CM}|2^31|1:4",
            },
            {"stream": 1, "crypto": f"AEAD_AES_256_GCM inline:{GCM}", "roc": 3},
            {"crypto": f"7 AES_CM_128_HMAC_SHA1_32 inline:{CM}"},
        ]
    }

    keys = LateKeys.parse(json.dumps(said, indent=2).encode())

    assert keys == LateKeys.parse(LINES.encode())


def test_a_key_is_for_a_label_a_number_or_every_stream() -> None:
    agent, second, every = LateKeys.parse(LINES.encode()).keys
    streams = [(0, "agent"), (1, "customer")]

    assert [True, False] == [agent.fits(*each) for each in streams]
    assert [False, True] == [second.fits(*each) for each in streams]
    assert [True, True] == [every.fits(*each) for each in streams]


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("", "holds no key"),
        ("# only a comment\n", "holds no key"),
        (f"agent AES_CM_128_HMAC_SHA1_80 inline:{GCM}", "line 1: the key of"),
        (f"\nagent ROT13 inline:{CM}", "line 2: not a suite"),
        ("agent PLAIN_RTP inline:", "line 1"),
        (f"+49891234 AES_CM_128_HMAC_SHA1_80 inline:{CM}", "line 1: a stream is"),
        (f"* AES_CM_128_HMAC_SHA1_80 inline:{CM} roc=1 roc=2", "more than one roc"),
        (f"* AES_CM_128_HMAC_SHA1_80 inline:{CM} roc=4294967296", "32 bits"),
        ("{", "not JSON"),
        ("{}", 'no list "keys"'),
        ('{"keys": [], "v": 2}', "version 1"),
        ('{"keys": [3]}', "key 1: members are"),
        ('{"keys": [{"crypto": 3}]}', "key 1: crypto is missing"),
        ('{"keys": [{"crypto": "x", "roc": true}]}', "key 1: roc is a number"),
        ('{"keys": [{"crypto": "x", "stream": true}]}', "key 1: a stream is"),
        ('{"keys": [{"crypto": "x", "kye": ""}]}', "key 1: members are"),
        ("{" * 100_000, "longer than"),
        (f"* AES_CM_128_HMAC_SHA1_80 inline:{CM}\n" * 65, "more than 64 keys"),
    ],
)
def test_what_is_no_file_of_keys_is_refused_and_says_where(
    text: str, said: str
) -> None:
    with pytest.raises(InvalidInputError, match=said) as refused:
        LateKeys.parse(text.encode())

    assert CM not in str(refused.value)
    assert GCM not in str(refused.value)


def test_no_key_is_shown_by_accident() -> None:
    keys = LateKeys.parse(LINES.encode())

    assert CM not in repr(keys)
    assert str(bytes(range(30))) not in repr(keys)


@given(octets=st.binary(max_size=300) | st.text(max_size=300).map(str.encode))
def test_nothing_but_keys_is_read_from_noise(octets: bytes) -> None:
    try:
        LateKeys.parse(octets)
    except InvalidInputError:
        return


def test_the_example_of_the_howto_is_a_file_of_keys() -> None:
    page = Path(__file__).parents[3] / "docs/howto/recover-a-recording.md"
    example = page.read_text().split("```")[1]

    keys = LateKeys.parse(example.encode()).keys

    assert [("agent", None), ("1", None), ("customer", 2)] == [
        (key.stream, key.roc) for key in keys
    ]


def test_what_is_sealed_is_padded_and_read_back() -> None:
    keys = LateKeys.parse(LINES.encode())

    assert (0, keys) == (len(keys.padded()) % 256, LateKeys.unpadded(keys.padded()))


@pytest.mark.parametrize(
    "octets", [b"", pad(b"{}"), bytes(LateKeys.parse(LINES.encode()))]
)
def test_what_was_not_sealed_as_keys_is_broken(octets: bytes) -> None:
    with pytest.raises(SealBrokenError):
        LateKeys.unpadded(octets)
