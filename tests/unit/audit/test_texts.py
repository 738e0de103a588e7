import hashlib
import hmac

import pytest

from vault.audit.texts import open_text, seal_text
from vault.core.errors import SealBrokenError
from vault.core.secrets import SecretBytes

KEY = SecretBytes(bytes(32))
REASON = "Beschwerde von Frau Müller, +49 30 901820"


class TestTextBesideTheLog:
    def test_sealed_text_opens_for_its_entry_and_field(self) -> None:
        kept = seal_text(REASON, key=KEY, entry_id="e1", field="reason")
        opened = open_text(
            kept.sealed,
            key=KEY,
            entry_id="e1",
            field="reason",
            expected_hmac=kept.hmac,
        )

        assert REASON == opened

    @pytest.mark.parametrize(
        "change",
        [
            {"entry_id": "e2"},
            {"field": "before"},
            {"key": SecretBytes(bytes(31) + b"1")},
            {"expected_hmac": "00" * 32},
        ],
    )
    def test_text_of_another_entry_field_key_or_hmac_does_not_open(
        self, change: dict[str, object]
    ) -> None:
        kept = seal_text(REASON, key=KEY, entry_id="e1", field="reason")
        arguments = {
            "key": KEY,
            "entry_id": "e1",
            "field": "reason",
            "expected_hmac": kept.hmac,
        }
        with pytest.raises(SealBrokenError):
            open_text(kept.sealed, **(arguments | change))

    @pytest.mark.parametrize("size", [0, 11, 12, 20, 40])
    def test_sealed_text_cut_short_does_not_open(self, size: int) -> None:
        kept = seal_text(REASON, key=KEY, entry_id="e1", field="reason")
        with pytest.raises(SealBrokenError):
            open_text(
                kept.sealed[:size],
                key=KEY,
                entry_id="e1",
                field="reason",
                expected_hmac=kept.hmac,
            )

    def test_the_hmac_of_one_text_differs_every_time(self) -> None:
        """Else the few reasons people give could be told apart after erasure."""
        first, second = (
            seal_text(REASON, key=KEY, entry_id="e1", field="reason") for _ in range(2)
        )

        assert first.hmac != second.hmac

    def test_the_hmac_is_not_keyed_with_anything_guessable(self) -> None:
        kept = seal_text(REASON, key=KEY, entry_id="e1", field="reason")
        guesses = {
            hmac.new(key, REASON.encode(), hashlib.sha256).hexdigest()
            for key in (b"", bytes(32), b"e1")
        }

        assert kept.hmac not in guesses

    def test_text_is_not_shown_in_a_repr(self) -> None:
        kept = seal_text(REASON, key=KEY, entry_id="e1", field="reason")

        assert f"TextToKeep(hmac={kept.hmac!r})" == repr(kept)
