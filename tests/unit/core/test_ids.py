import uuid

import pytest

from vault.core.errors import NotFoundError
from vault.core.ids import (
    RecordingId,
    new_id,
    new_recording_id,
    parse_recording_id,
    recording_id_octets,
)

GOOD = "6e8bc430-9c3a-41d9-8a4b-0123456789ab"


class TestRecordingIds:
    def test_a_new_id_is_a_random_uuid(self) -> None:
        made = {new_id() for _ in range(100)}

        assert 100 == len(made)
        assert {4} == {uuid.UUID(one).version for one in made}

    def test_a_new_id_reads_back_as_itself(self) -> None:
        made = new_recording_id()

        assert made == parse_recording_id(made)

    @pytest.mark.parametrize(
        "text",
        [
            "",
            GOOD.upper(),
            GOOD.replace("-", ""),
            "{" + GOOD + "}",
            "urn:uuid:" + GOOD,
            GOOD + "\n",
            " " + GOOD,
            GOOD[:-1],
            GOOD.replace("-41d9-", "-11d9-"),
            GOOD.replace("-8a4b-", "-0a4b-"),
            "../../../../../../etc/passwd",
            GOOD.replace("6", "\u0666"),
            "' OR 1=1 --",
        ],
    )
    def test_another_spelling_is_nothing_that_one_may_know_of(self, text: str) -> None:
        """Malformed and unknown get the same answer: no oracle."""
        with pytest.raises(NotFoundError):
            parse_recording_id(text)

    def test_the_octets_are_those_of_the_uuid(self) -> None:
        octets = recording_id_octets(RecordingId(GOOD))

        assert bytes.fromhex(GOOD.replace("-", "")) == octets
