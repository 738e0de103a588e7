import hashlib
from pathlib import Path

import pytest

from vault.access.password_rules import PasswordRules, PasswordRulesConfig
from vault.access.passwords import PasswordConfig, Passwords
from vault.core.errors import ConfigurationError, InvalidInputError, UnavailableError

GOOD = "correct horse battery staple"


@pytest.fixture(scope="module")
def passwords() -> Passwords:
    return Passwords(PasswordConfig(memory_kib=8, iterations=1, lanes=1))


def rules(passwords: Passwords, **changed: object) -> PasswordRules:
    return PasswordRules(passwords, PasswordRulesConfig(**changed))  # type: ignore[arg-type]


@pytest.mark.parametrize(
    "password",
    [
        "Zk3v9QpTn8sXw2Lb",
        "correct-horse-battery",
        GOOD,
        "  blanks at both ends stay  ",
        "\U0001f600\U0001f40e\U0001f50b\U0001f4ce qzv wvx ktr",
        "x9 " + "kqzvw " * 3 + "long words " * 20,
        "p\u00e4ssw\u00f6rter sind nie kurz genug",
    ],
)
def test_h43_long_and_unguessable_is_all_that_is_asked(
    passwords: Passwords, password: str
) -> None:
    hashed = rules(passwords).hash(password, about=["sam"])

    assert passwords.verify(hashed, password) is None


@pytest.mark.parametrize("changed", [" " + GOOD, GOOD + " ", GOOD.upper(), GOOD[:-1]])
def test_h43_every_character_counts(passwords: Passwords, changed: str) -> None:
    hashed = rules(passwords).hash(GOOD, about=[])

    assert GOOD != changed
    with pytest.raises(Exception, match="wrong"):
        passwords.verify(hashed, changed)


def test_h43_what_comes_after_the_72nd_octet_counts(passwords: Passwords) -> None:
    long = "kq zv wx tr " * 10
    hashed = rules(passwords, min_score=0).hash(long + "a", about=[])

    with pytest.raises(Exception, match="wrong"):
        passwords.verify(hashed, long + "b")


@pytest.mark.parametrize(
    "password",
    ["password1234", "qwertyuiop12", "aaaaaaaaaaaaaaaa", "callvault2026",
     "samantha.jones1", "Samantha.Jones", "111111111111111111"],
)  # fmt: skip
def test_what_is_easy_to_guess_is_refused(passwords: Passwords, password: str) -> None:
    with pytest.raises(InvalidInputError, match="guess") as caught:
        rules(passwords).hash(password, about=["samantha.jones"])

    assert password not in str(caught.value)


def test_a_score_of_nought_asks_for_length_alone(passwords: Passwords) -> None:
    assert rules(passwords, min_score=0).hash("password1234", about=[])
    with pytest.raises(InvalidInputError):
        rules(passwords, min_score=0).hash("elevenchars", about=[])


def test_what_was_used_before_is_refused(passwords: Passwords) -> None:
    before = [passwords.hash("a password of before"), passwords.hash(GOOD)]

    for used in (GOOD, "a password of before"):
        with pytest.raises(InvalidInputError, match="before"):
            rules(passwords).hash(used, about=[], before=before)
    assert rules(passwords).hash("something else entirely", about=[], before=before)


def _hashes(*known: str, end: str = "\n", suffix: str = "") -> str:
    digests = sorted(hashlib.sha1(one.encode()).hexdigest().upper() for one in known)
    return "".join(digest + suffix + end for digest in digests)


KNOWN = [f"known password number {number}" for number in range(200)]


@pytest.mark.parametrize(
    "content",
    [
        "\n".join(["other words", *KNOWN]),
        "\r\n".join([*KNOWN, "other words"]) + "\r\n",
        _hashes(*KNOWN),
        _hashes(*KNOWN, suffix=":17", end="\r\n"),
        "".join(line[:16] + "\n" for line in _hashes(*KNOWN).splitlines()),
    ],
    ids=["words", "words-crlf", "hashes", "hashes-with-counts", "prefixes"],
)
def test_what_is_on_the_list_is_refused(
    passwords: Passwords, tmp_path: Path, content: str
) -> None:
    file = tmp_path / "list"
    file.write_text(content)
    checked = rules(passwords, breach_list=file, min_score=0)

    for known in (KNOWN[0], KNOWN[77], KNOWN[-1]):
        with pytest.raises(InvalidInputError, match="list"):
            checked.hash(known, about=[])
    assert checked.hash(GOOD, about=[])


def test_hashes_that_are_not_in_order_are_no_list(
    passwords: Passwords, tmp_path: Path
) -> None:
    file = tmp_path / "list"
    file.write_text("".join(reversed(_hashes(*KNOWN).splitlines(keepends=True))))

    with pytest.raises(ConfigurationError):
        rules(passwords, breach_list=file)


def test_a_list_that_cannot_be_read_lets_no_password_pass(
    passwords: Passwords, tmp_path: Path
) -> None:
    file = tmp_path / "list"
    file.write_text("words\n")
    checked = rules(passwords, breach_list=file)
    file.unlink()

    with pytest.raises(UnavailableError):
        checked.hash(GOOD, about=[])
    with pytest.raises(UnavailableError):
        rules(passwords, breach_list=tmp_path)
