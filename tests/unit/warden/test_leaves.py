import pytest

from tests.simulators.warden import USER
from vault.audit.entry import Action, Draft, Entry
from vault.audit.texts import open_text
from vault.core.errors import InvalidInputError
from vault.core.secrets import SecretBytes
from vault.warden.leaves import LeafMaker, text_key

KEY = text_key(SecretBytes(bytes(range(32))))
TYPED = "Beschwerde von Frau Müller, 030 9988776"


@pytest.fixture
def maker() -> LeafMaker:
    return LeafMaker(text_key=KEY, clock=lambda: 1_795_414_569_123_456_789)


def test_a_leaf_says_by_which_process_it_came(maker: LeafMaker) -> None:
    leaf = maker.leaf(Draft(action=Action.RECORDING_LISTED, caller=USER), via="web")
    members = Entry.parse(leaf.entry).members

    assert members == {
        "v": 1,
        "id": members["id"],
        "time": "2026-11-23T06:16:09.123456789Z",
        "action": "recording.listed",
        "actor": "user:u1",
        "via": "web",
        "result": "ok",
        "session": "s1",
        "origin": "192.0.2.7",
    }
    assert not leaf.texts


def test_what_a_person_typed_is_sealed_and_not_logged(maker: LeafMaker) -> None:
    draft = Draft(
        action=Action.RECORDING_PLAYED, caller=USER, text={"reason": TYPED, "note": ""}
    )
    leaf = maker.leaf(draft, via="web")
    members = Entry.parse(leaf.entry).members
    kept = leaf.texts["reason"]

    assert list(leaf.texts) == ["reason"]
    assert members["text"] == {"reason": kept.hmac}
    for word in (b"Frau", b"9988776", "Müller".encode()):
        assert word not in leaf.entry + kept.sealed
    assert TYPED == open_text(
        kept.sealed,
        key=KEY,
        entry_id=str(members["id"]),
        field="reason",
        expected_hmac=kept.hmac,
    )


def test_the_key_of_texts_is_not_the_index_key() -> None:
    assert KEY != SecretBytes(bytes(range(32)))
    assert len(KEY) == 32


def test_a_detail_outside_the_list_makes_no_leaf(maker: LeafMaker) -> None:
    draft = Draft(
        action=Action.RECORDING_LISTED, caller=USER, detail={"phone": "0301234"}
    )

    with pytest.raises(InvalidInputError):
        maker.leaf(draft, via="web")
