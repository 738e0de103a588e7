import pytest

from vault.web.trail_words import (
    Subject,
    added,
    chips_of,
    history_href,
    href_of,
    own_toggled,
    subject_of,
)

NAMES = {"user:u1": "ada"}


class TestFilters:
    @pytest.mark.parametrize(
        ("text", "fields", "expected"),
        [
            ("", {"actor": "ada"}, "actor:ada"),
            ("actor:bob result:ok", {"actor": "ada"}, "result:ok actor:ada"),
            ("-actor:bob", {"actor": "ada"}, "-actor:bob actor:ada"),
            ("", {"actor": "Ada Lovelace"}, 'actor:"Ada Lovelace"'),
            ("", {"since": "2026-11-01"}, "created:2026-11-01..*"),
            (
                "created:7d",
                {"since": "2026-11-01", "until": "2026-11-02"},
                "created:2026-11-01..2026-11-02",
            ),
            ("actor:ada", {"actor": "", "action": ""}, "actor:ada"),
        ],
    )
    def test_fields_write_words(
        self, text: str, fields: dict[str, str], expected: str
    ) -> None:
        assert expected == added(text, fields)

    def test_own_entries_are_left_out_and_come_back(self) -> None:
        left_out = own_toggled("result:ok")

        assert (False, "result:ok -actor:me") == left_out
        assert (True, "result:ok") == own_toggled(left_out[1])


class TestReadAloud:
    def test_words_have_names_and_ways_to_go_without_them(self) -> None:
        first, second = chips_of("-actor:user:u1,me action:access.*", NAMES)

        assert ("not actor: ada or me", "action: access.*") == (first.text, second.text)
        assert "/audit?query=action%3Aaccess.%2A" == first.without

    def test_a_history_is_of_one(self) -> None:
        subject = Subject(kind="user", id="u1", name="ada")

        assert subject == subject_of("about:user:u1", NAMES)

    @pytest.mark.parametrize(
        "text",
        [
            "",
            "-about:user:u1",
            "actor:user:u1",
            "about:user:u1,user:u2",
            "about:user:u1 result:ok",
            "about:unknown",
        ],
    )
    def test_other_queries_are_no_history(self, text: str) -> None:
        assert subject_of(text, NAMES) is None

    def test_addresses_hold_the_query(self) -> None:
        assert "/audit" == href_of("")
        assert "/audit?query=about%3Auser%3Au1" == history_href("user:u1")
