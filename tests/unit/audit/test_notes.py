import pytest

from tests.simulators.trail import signer
from vault.audit.notes import MAX_NOTE_CHARS, Note, SignatureLine, parse_key, spell_key
from vault.core.errors import InvalidInputError, TrailBrokenError

NOTE = signer().sign("one line\n")


class TestNotes:
    def test_a_note_reads_back_as_itself(self) -> None:
        assert NOTE == str(Note.parse(NOTE))

    def test_a_signature_line_reads_back_as_itself(self) -> None:
        line = NOTE.rpartition("\n\n")[2]

        assert line == str(SignatureLine.parse(line.removesuffix("\n")))

    def test_65_signatures_are_too_many(self) -> None:
        text, _, line = NOTE.rpartition("\n\n")
        with pytest.raises(TrailBrokenError):
            Note.parse(f"{text}\n\n{line * 65}")

        assert 64 == len(Note.parse(f"{text}\n\n{line * 64}").signatures)

    def test_a_note_of_more_than_64_ki_characters_is_none(self) -> None:
        with pytest.raises(TrailBrokenError):
            Note.parse(signer().sign("x" * MAX_NOTE_CHARS + "\n"))


class TestKeys:
    def test_a_key_of_another_kind_does_not_parse(self) -> None:
        cosigner = spell_key("w", b"\x04", bytes(32))

        assert ("w", bytes(32)) == parse_key(cosigner, b"\x04")
        with pytest.raises(InvalidInputError):
            parse_key(cosigner, b"\x01")
