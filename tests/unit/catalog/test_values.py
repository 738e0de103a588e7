import pytest

from vault.catalog.values import (
    StoredObject,
    parse_day,
    streams_from_json,
    streams_to_json,
)
from vault.core.errors import InvalidInputError
from vault.core.flow import StreamStatus


class TestStoredObject:
    @pytest.mark.parametrize(
        "name",
        ["capture/0001", "capture/0002.cut", "capture/0002.recovered", "manifest"],
    )
    def test_the_names_of_the_design_are_taken(self, name: str) -> None:
        one = StoredObject(name=name, size=1, sha256="a" * 64, media_type="audio/flac")

        assert name.partition("/")[0] == one.kind

    @pytest.mark.parametrize(
        ("name", "size", "sha256", "media_type"),
        [
            ("../key", 1, "a" * 64, "audio/flac"),
            ("capture/1", 1, "a" * 64, "audio/flac"),
            ("capture/0001\n", 1, "a" * 64, "audio/flac"),
            ("capture/0001", -1, "a" * 64, "audio/flac"),
            ("capture/0001", 1, "A" * 64, "audio/flac"),
            ("capture/0001", 1, "a" * 63, "audio/flac"),
            ("capture/0001", 1, "a" * 64, "text/html; charset=x"),
        ],
    )
    def test_anything_else_is_refused(
        self, name: str, size: int, sha256: str, media_type: str
    ) -> None:
        with pytest.raises(InvalidInputError):
            StoredObject(name=name, size=size, sha256=sha256, media_type=media_type)


class TestDay:
    def test_a_day_is_read(self) -> None:
        assert parse_day("2026-11-23").isoformat() == "2026-11-23"

    @pytest.mark.parametrize(
        "text", ["", "20261123", "2026-W48-1", "2026-02-30", "2026-11-23T00:00", "x"]
    )
    def test_other_spellings_are_refused(self, text: str) -> None:
        with pytest.raises(InvalidInputError):
            parse_day(text)


class TestStreams:
    def test_counters_come_back_as_they_went(self) -> None:
        stream = StreamStatus(
            label="customer",
            codec="PCMU",
            suite="AES_CM_128_HMAC_SHA1_80",
            packets_received=1000,
            packets_authentic=990,
            packets_lost=4,
            packets_undecryptable=6,
            packets_rejected={"auth": 6, "replay": 4},
            rtcp_packets=20,
        )

        assert (stream,) == streams_from_json(streams_to_json([stream]))

    def test_text_of_a_peer_is_cut_down_to_our_own_words(self) -> None:
        kept = streams_to_json(
            [StreamStatus(label="Mrs Example", codec="+49 89", suite="é")] * 2
        )

        assert "Example" not in kept
        assert "49" not in kept
        assert ["stream1", "stream2"] == [one.label for one in streams_from_json(kept)]
