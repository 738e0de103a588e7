import json
from pathlib import Path

import pytest
from tlog_scales.signing import Vkey, VkeySet
from tlog_scales.tlog import Checkpoint as TheirCheckpoint

from tests.simulators.trail import ORIGIN, signer
from tests.simulators.witnesses import NAME, NOW_S, cosigner
from vault.audit.checkpoint import Checkpoint, Verifier
from vault.audit.cosignature import Cosigned, Cosigner, with_lines
from vault.core.errors import InvalidInputError, TrailBrokenError

VECTORS = Path(__file__).parents[2] / "vectors" / "audit"
REAL = json.loads((VECTORS / "cosignatures.json").read_text())["vectors"]
CHECKPOINT = Checkpoint(origin=ORIGIN, size=77, root=bytes(range(32)))
NOTE = signer().sign_checkpoint(CHECKPOINT)
COSIGNED = with_lines(NOTE, [cosigner().cosign(str(CHECKPOINT), time_s=NOW_S)])


class TestWitnessesOfOthers:
    @pytest.mark.parametrize("key", REAL["witnesses"])
    def test_what_four_public_witnesses_cosigned_opens(self, key: str) -> None:
        log = Verifier.parse(REAL["log"]).open_checkpoint(REAL["note"])
        found = Cosigner.parse(key).open(REAL["note"])

        assert Cosigned(checkpoint=log, time_s=REAL["time"]) == found

    @pytest.mark.parametrize("key", REAL["witnesses"] + REAL["others"])
    def test_keys_as_their_operators_publish_them_read_back(self, key: str) -> None:
        assert key == str(Cosigner.parse(key))

    @pytest.mark.parametrize("key", REAL["others"])
    def test_who_did_not_cosign_is_not_found(self, key: str) -> None:
        with pytest.raises(TrailBrokenError, match="not cosigned by"):
            Cosigner.parse(key).open(REAL["note"])

    @pytest.mark.parametrize("key", [*REAL["bad_keys"], REAL["log"]])
    def test_what_is_no_witness_key_does_not_parse(self, key: str) -> None:
        with pytest.raises(InvalidInputError):
            Cosigner.parse(key)

    @pytest.mark.parametrize("size", [1432088531, 1432088533])
    def test_of_another_size_nothing_of_it_opens(self, size: int) -> None:
        changed = REAL["note"].replace("\n1432088532\n", f"\n{size}\n")
        for key in REAL["witnesses"]:
            with pytest.raises(TrailBrokenError, match="is wrong"):
                Cosigner.parse(key).open(changed)


class TestOurs:
    def test_a_program_we_did_not_write_verifies_log_and_witness(self) -> None:
        theirs = TheirCheckpoint.from_text(COSIGNED)
        keys = [
            Vkey.from_string(str(one))
            for one in (signer().verifier, cosigner().cosigner)
        ]

        assert 2 == len(VkeySet(*keys).verify(theirs.signatures, theirs))

    def test_what_a_witness_signs_opens_with_its_time(self) -> None:
        found = cosigner().cosigner.open(COSIGNED)

        assert Cosigned(checkpoint=CHECKPOINT, time_s=NOW_S) == found

    def test_the_log_is_still_signed_by_its_own_key(self) -> None:
        assert CHECKPOINT == signer().verifier.open_checkpoint(COSIGNED)

    def test_the_latest_of_two_cosignatures_counts(self) -> None:
        later = cosigner().cosign(str(CHECKPOINT), time_s=NOW_S + 60)

        assert (
            NOW_S + 60 == cosigner().cosigner.open(with_lines(COSIGNED, [later])).time_s
        )

    def test_a_line_is_added_once(self) -> None:
        line = cosigner().cosign(str(CHECKPOINT), time_s=NOW_S)

        assert COSIGNED == with_lines(COSIGNED, [line, line])

    def test_extension_lines_are_signed_too(self) -> None:
        text = f"{CHECKPOINT}an extension\n"
        note = with_lines(signer().sign(text), [cosigner().cosign(text, time_s=1)])

        assert CHECKPOINT == cosigner().cosigner.open(note).checkpoint
        with pytest.raises(TrailBrokenError):
            cosigner().cosigner.open(note.replace("an ext", "no ext"))

    @pytest.mark.parametrize("octet", range(0, 76, 5))
    def test_a_changed_octet_of_time_or_signature_is_refused(self, octet: int) -> None:
        line = cosigner().cosign(str(CHECKPOINT), time_s=NOW_S)
        at = line.rindex(" ") + 1 + octet
        other = "B" if line[at] == "A" else "A"
        note = NOTE + line[:at] + other + line[at + 1 :]
        with pytest.raises(TrailBrokenError):
            cosigner().cosigner.open(note)

    def test_the_signature_of_a_log_is_no_cosignature_of_its_key(self) -> None:
        # One pair of keys in both uses: what is signed differs, and so do the ids.
        twin = Cosigner(name=ORIGIN, public_key=signer().verifier.public_key)
        with pytest.raises(TrailBrokenError, match="not cosigned"):
            twin.open(NOTE)
        with pytest.raises(TrailBrokenError, match="not signed"):
            Verifier(name=NAME, public_key=cosigner().cosigner.public_key).open(
                COSIGNED
            )

    @pytest.mark.parametrize("time_s", [-1, 2**63])
    def test_a_time_that_is_none_is_not_signed(self, time_s: int) -> None:
        with pytest.raises(ValueError):
            cosigner().cosign(str(CHECKPOINT), time_s=time_s)

    def test_what_is_no_text_of_a_note_is_not_signed(self) -> None:
        with pytest.raises(ValueError):
            cosigner().cosign("no newline", time_s=1)

    def test_a_name_that_is_none_makes_no_key(self) -> None:
        with pytest.raises(ValueError):
            Cosigner(name="a b", public_key=bytes(32))

    def test_a_signer_does_not_show_its_key(self) -> None:
        assert f"<CosignatureSigner: {NAME}>" == repr(cosigner())
