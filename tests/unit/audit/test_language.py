from collections.abc import Collection, Sequence
from typing import Final

import pytest

from vault.audit.language import NOTHING, NoNames, Reading, read, words_of, written
from vault.audit.query import EVERYTHING, Terms, TrailQuery
from vault.core.errors import InvalidInputError

NOW_NS = 1_795_414_569_123_456_789
ID = "0f3e12ab-1111-7222-8333-0123456789ab"


class Known:
    """Ada, Bob, and a device and a workgroup that are both called sales."""

    TABLE: Final = {
        "ada": ["user:u1"],
        "Ada Lovelace": ["user:u3"],
        "bob": ["user:u2"],
        "sales": ["device:d1", "workgroup:w1"],
    }

    def me(self) -> str:
        return "user:u9"

    def ids(self, name: str, kinds: Collection[str]) -> Sequence[str]:
        found = self.TABLE.get(name, [])
        return [one for one in found if one.partition(":")[0] in kinds]


def asked(text: str) -> Reading:
    return read(text, names=Known(), now_ns=NOW_NS)


class TestReading:
    @pytest.mark.parametrize(
        ("text", "members"),
        [
            ("", {}),
            ("actor:ada", {"actor": ["user:u1"]}),
            ("  actor:ada,bob  ", {"actor": ["user:u1", "user:u2"]}),
            ('actor:"Ada Lovelace"', {"actor": ["user:u3"]}),
            ("-actor:me", {"-actor": ["user:u9"]}),
            ("-actor:ada -actor:bob", {"-actor": ["user:u1", "user:u2"]}),
            ("actor:unknown", {"actor": ["unknown"]}),
            ("actor:os:1000", {"actor": ["os:1000"]}),
            ("actor:user:u7", {"actor": ["user:u7"]}),
            ("actor:user:ada", {"actor": ["user:u1"]}),
            ("actor:sales", {"actor": ["device:d1"]}),
            ("object:sales", {"object": ["device:d1", "workgroup:w1"]}),
            ("object:workgroup:sales", {"object": ["workgroup:w1"]}),
            ("about:bob", {"about": ["user:u2"]}),
            ("action:recording.*", {"action": ["recording.*"]}),
            ("-result:ok", {"-result": ["ok"]}),
            ("result:failed,refused", {"result": ["failed", "refused"]}),
            ("object:recording:r1", {"object": ["recording:r1"]}),
            (
                f"object:recording:{ID.upper()}",
                {"object": [f"recording:{ID}"]},
            ),
            (f"actor:{ID}", {"actor": [f"device:{ID}", f"user:{ID}"]}),
            ("created:2026-11", {"since": "2026-11-01", "until": "2026-12-01"}),
            (
                "created:>=2026-11-01 created:<2026-11-02",
                {"since": "2026-11-01", "until": "2026-11-02"},
            ),
            ("created:24h", {"since": "2026-11-22T06:16:09"}),
            ("recording:r1", {"object": ["recording:r1"]}),
            (
                "since:2026-11-01 until:2026-11-02",
                {"since": "2026-11-01", "until": "2026-11-02"},
            ),
        ],
    )
    def test_a_text_is_a_query(self, text: str, members: dict[str, object]) -> None:
        assert members == asked(text).query.members()

    def test_a_bare_id_is_looked_for_among_all_that_have_ids(self) -> None:
        found = asked(f"object:{ID}").query.wanted.object

        assert {f"recording:{ID}", f"grant:{ID}"} < set(found)

    def test_a_name_that_nobody_has_matches_nothing_and_is_said(self) -> None:
        reading = asked("actor:eve object:device:pbx -about:ada,mallory")

        assert (NOTHING,) == reading.query.wanted.actor
        assert ("device:pbx",) == reading.query.wanted.object
        assert ("user:-", "user:u1") == reading.query.unwanted.about
        assert ("eve", "pbx", "mallory") == reading.unknown

    def test_its_text_names_ids_and_keeps_times_as_they_were_typed(self) -> None:
        reading = asked("-actor:me,ada created:7d  action:access.*")

        assert "-actor:user:u9,user:u1 created:7d action:access.*" == reading.text

    @pytest.mark.parametrize(
        ("text", "said"),
        [
            ("ada", "about:ada"),
            ("actr:ada", "did you mean actor:"),
            ("what:ada", "use about, action"),
            ("actor:", "actor: has no value"),
            ("actor:,", "actor: has no value"),
            ("actor:ada actor:bob", "actor:a,b"),
            ('actor:"ada', "quote is not closed"),
            ("action:recording.play", "did you mean recording.played"),
            ("action:played", "recording.played"),
            ("action:recording", r"action:recording\.\*"),
            ("action:recording*", "behind a dot"),
            ("action:*.refused", "behind a dot"),
            ("action:nothing.*", "is no action"),
            ("result:okay", "did you mean ok"),
            ("result:1", "like ok, refused, failed"),
            ("actor:recording:r1", "write about:recording"),
            ("object:recordin:r1", "did you mean recording:"),
            ("object:xyz:r1", "use approval"),
            ("object:0f3e12ab…", "copy the whole id"),
            ("-created:24h", "no - before it"),
            ("created:2026,2027", "one time"),
            ("created:soon", "not a time"),
            ("object:" + ",".join(f"recording:{n}" for n in range(65)), "more than 64"),
            ("actor:" + "a" * 3000, "2048 characters"),
        ],
    )
    def test_what_is_wrong_is_said_of_the_word(self, text: str, said: str) -> None:
        with pytest.raises(InvalidInputError, match=said):
            asked(text)


class TestWriting:
    @pytest.mark.parametrize(
        ("query", "text"),
        [
            (EVERYTHING, ""),
            (
                TrailQuery(
                    wanted=Terms(actor=("user:u2", "user:u1"), action=("access.*",)),
                    unwanted=Terms(object=("recording:r1",)),
                    since="2026-11-01",
                    until="2026-11-02T08:00",
                ),
                (
                    "action:access.* actor:user:u1,user:u2 -object:recording:r1 "
                    "created:>=2026-11-01 created:<2026-11-02T08:00"
                ),
            ),
        ],
    )
    def test_a_query_is_written_as_a_text(self, query: TrailQuery, text: str) -> None:
        assert text == written(query)

    def test_what_would_split_a_word_is_quoted(self) -> None:
        query = TrailQuery(wanted=Terms(actor=('user:a,"b\\',)))
        reading = read(written(query), names=NoNames(), now_ns=NOW_NS)

        assert 'actor:"user:a,\\"b\\\\"' == written(query)
        assert query == reading.query

    def test_words_keep_what_was_typed(self) -> None:
        text = '-actor:me,"Ada Lovelace" created:7d'

        assert text == " ".join(map(str, words_of(text)))
