"""Origins: what is one, what is none, and that both spellings agree."""

import pytest

from vault.core.errors import InvalidInputError
from vault.core.origins import Origin


class TestParse:
    @pytest.mark.parametrize(
        "text",
        [
            "https://vault.example",
            "https://vault.example:8443",
            "http://127.0.0.1:8080",
            "https://[2001:db8::1]",
            "http://[::1]:8080",
            "http://localhost",
        ],
    )
    def test_what_is_written_is_what_is_read(self, text: str) -> None:
        assert text == str(Origin.parse(text))

    def test_case_and_the_usual_port_are_no_difference(self) -> None:
        assert Origin.parse("https://vault.example") == Origin.parse(
            "https://Vault.Example:443"
        )

    @pytest.mark.parametrize(
        "text",
        [
            "",
            "vault.example",
            "//vault.example",
            "ftp://vault.example",
            "file:///etc/passwd",
            "gopher://vault.example",
            "https://",
            "https://vault.example/",
            "https://vault.example/path",
            "https://vault.example?",
            "https://vault.example#",
            "https://vault.example:0",
            "https://vault.example:65536",
            "https://vault.example:x",
            "https://user@vault.example",
            "https://user:word@vault.example",
            "https://vault.example\\@evil.test",
            "https://vault example",
            "https://vault.example\n",
            "https://väult.example",
            "https://2130706433",
            "https://0x7f000001",
            "https://127.1",
            "https://-a.example",
            "https://" + "a" * 3000,
        ],
    )
    def test_anything_else_is_refused(self, text: str) -> None:
        with pytest.raises(InvalidInputError):
            Origin.parse(text)


class TestLoopback:
    @pytest.mark.parametrize(
        ("text", "expected"),
        [
            ("http://127.0.0.1", True),
            ("http://127.9.9.9:1", True),
            ("http://[::1]", True),
            ("http://localhost:8080", True),
            ("http://localhost.evil.test", False),
            ("http://10.0.0.1", False),
            ("http://vault.example", False),
        ],
    )
    def test_is_this_machine_by_its_name(self, text: str, *, expected: bool) -> None:
        assert expected == Origin.parse(text).is_loopback
