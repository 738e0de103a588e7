import base64
import json
from pathlib import Path

import pytest
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from tlog_scales.signing import PlainEd25519Signer
from tlog_scales.tlog import Checkpoint as TheirCheckpoint

from tests.simulators.trail import ORIGIN, signer
from vault.audit.checkpoint import Checkpoint, Signer, Verifier
from vault.core.errors import InvalidInputError, TrailBrokenError
from vault.core.secrets import SecretBytes

VECTORS = Path(__file__).parents[2] / "vectors" / "audit"
GO_NOTE, C2SP_NOTE, ENOCH_NOTE = json.loads(
    (VECTORS / "signed_notes.json").read_text()
)["vectors"]
CHECKPOINT = Checkpoint(origin=ORIGIN, size=1234067, root=bytes(range(32)))


class TestSignedNotes:
    @pytest.mark.parametrize("vector", [GO_NOTE, C2SP_NOTE])
    def test_published_notes_open_with_their_keys(self, vector: dict[str, str]) -> None:
        text = Verifier.parse(vector["vkey"]).open(vector["note"])

        assert vector["note"].rpartition("\n\n")[0] + "\n" == text

    def test_gos_note_is_signed_again_octet_by_octet(self) -> None:
        seed = base64.b64decode(GO_NOTE["skey"].split("+", 4)[4])[1:]
        ours = Signer.from_seed(name="PeterNeumann", seed=SecretBytes(seed))
        text = GO_NOTE["note"].rpartition("\n\n")[0] + "\n"

        assert GO_NOTE["note"] == ours.sign(text)
        assert GO_NOTE["vkey"] == str(ours.verifier)

    def test_a_key_of_zeros_signs_as_go_does(self) -> None:
        ours = Signer.from_seed(
            name=ENOCH_NOTE["name"], seed=SecretBytes(bytes.fromhex(ENOCH_NOTE["seed"]))
        )
        text = ENOCH_NOTE["note"].rpartition("\n\n")[0] + "\n"

        assert ENOCH_NOTE["note"] == ours.sign(text)

    @pytest.mark.parametrize("position", range(0, len(GO_NOTE["note"]), 3))
    def test_a_note_changed_anywhere_does_not_open(self, position: int) -> None:
        note = GO_NOTE["note"]
        other = "B" if note[position] == "A" else "A"
        changed = note[:position] + other + note[position + 1 :]
        with pytest.raises(TrailBrokenError):
            Verifier.parse(GO_NOTE["vkey"]).open(changed)

    def test_signatures_of_others_are_passed_over(self) -> None:
        witness = signer(bytes(32), "witness.example")
        note = signer().sign_checkpoint(CHECKPOINT)
        cosigned = note + witness.sign(str(CHECKPOINT)).rpartition("\n\n")[2]

        assert CHECKPOINT == signer().verifier.open_checkpoint(cosigned)
        assert CHECKPOINT == witness.verifier.open_checkpoint(cosigned)

    def test_a_wrong_signature_of_ours_condemns_the_note_beside_a_right_one(
        self,
    ) -> None:
        note = signer().sign_checkpoint(CHECKPOINT)
        head, _, line = note.rpartition("\n\n")
        wrong = signer().sign("other\n").rpartition("\n\n")[2]
        with pytest.raises(TrailBrokenError):
            signer().verifier.open(f"{head}\n\n{line}{wrong}")

    def test_another_key_of_the_same_name_did_not_sign(self) -> None:
        note = signer(bytes(32)).sign_checkpoint(CHECKPOINT)
        with pytest.raises(TrailBrokenError, match="not signed by"):
            signer().verifier.open(note)

    @pytest.mark.parametrize(
        "note",
        ["", "\n", "text\n", "text\n\n", "text\n\nno dash\n", "text\n\n\u2014 a\n"],
    )
    def test_what_is_no_note_does_not_open(self, note: str) -> None:
        with pytest.raises(TrailBrokenError):
            signer().verifier.open(note)

    @pytest.mark.parametrize("text", ["no newline", "a\rb\n", "a\x00\n", ""])
    def test_what_is_no_text_is_not_signed(self, text: str) -> None:
        with pytest.raises(ValueError):
            signer().sign(text)

    def test_base64_with_stray_bits_is_another_spelling_and_refused(self) -> None:
        note = signer().sign_checkpoint(CHECKPOINT)
        # 68 octets end in "=", so the last digit has two bits to spare.
        at = note.rindex("=") - 1
        alphabet = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/"
        stray = alphabet[alphabet.index(note[at]) ^ 1]
        with pytest.raises(TrailBrokenError, match="spelling"):
            signer().verifier.open(note[:at] + stray + note[at + 1 :])


class TestVerifierKeys:
    def test_a_verifier_key_reads_back_as_itself(self) -> None:
        key = signer().verifier

        assert key == Verifier.parse(str(key))

    @pytest.mark.parametrize(
        "text",
        [
            "",
            "name",
            "name+00000000",
            "name+00000000+AAAA",
            "+c74f20a3+ARpc2QcUPDhMQegwxbzhKqiBfsVkmqq/LDE4izWy10TW",
            "PeterNeumann+c74f20a4+ARpc2QcUPDhMQegwxbzhKqiBfsVkmqq/LDE4izWy10TW",
            "PeterNeumann+C74F20A3+ARpc2QcUPDhMQegwxbzhKqiBfsVkmqq/LDE4izWy10TW",
            "PeterNeuman+c74f20a3+ARpc2QcUPDhMQegwxbzhKqiBfsVkmqq/LDE4izWy10TW",
            "PeterNeumann+c74f20a3+ARpc2QcUPDhMQegwxbzhKqiBfsVkmqq/LDE4izWy10T",
        ],
    )
    def test_a_mistyped_key_is_refused(self, text: str) -> None:
        with pytest.raises(InvalidInputError):
            Verifier.parse(text)

    def test_a_name_with_a_plus_or_a_blank_is_no_name(self) -> None:
        for name in ("a+b", "a b", "", "a\nb"):
            with pytest.raises(ValueError):
                Verifier(name=name, public_key=bytes(32))

    def test_a_signer_does_not_show_its_key(self) -> None:
        assert f"<Signer: {ORIGIN}>" == repr(signer())


class TestCheckpoints:
    def test_a_checkpoint_reads_back_as_itself(self) -> None:
        assert CHECKPOINT == Checkpoint.parse(str(CHECKPOINT))

    def test_an_implementation_we_did_not_write_makes_the_same_note(self) -> None:
        key = Ed25519PrivateKey.from_private_bytes(bytes(range(32)))
        theirs = TheirCheckpoint.make_signed(
            ORIGIN, CHECKPOINT.size, CHECKPOINT.root, [PlainEd25519Signer(ORIGIN, key)]
        ).serialize()

        assert theirs == signer().sign_checkpoint(CHECKPOINT)

    def test_extension_lines_are_passed_over(self) -> None:
        assert CHECKPOINT == Checkpoint.parse(f"{CHECKPOINT}an extension\n")

    @pytest.mark.parametrize(
        "size", ["", "-1", "+1", "01", "1_0", " 1", "1e3", "\u0661", "9" * 20]
    )
    def test_a_size_that_is_no_plain_number_is_refused(self, size: str) -> None:
        root = base64.b64encode(bytes(32)).decode()
        with pytest.raises(TrailBrokenError):
            Checkpoint.parse(f"{ORIGIN}\n{size}\n{root}\n")

    @pytest.mark.parametrize("root", ["", "AAAA", "A" * 44, "*" * 44])
    def test_a_root_that_is_not_32_octets_is_refused(self, root: str) -> None:
        with pytest.raises(TrailBrokenError):
            Checkpoint.parse(f"{ORIGIN}\n1\n{root}\n")

    def test_the_checkpoint_of_another_log_is_refused(self) -> None:
        note = signer().sign_checkpoint(CHECKPOINT)
        with pytest.raises(TrailBrokenError, match="another log"):
            signer().verifier.open_checkpoint(note, origin="elsewhere")

    def test_every_checkpoint_of_tesseras_log_opens(self) -> None:
        log = json.loads((VECTORS / "tessera_testdata_log.json").read_text())["vectors"]
        key = Verifier.parse(log["vkey"])
        sizes = [
            key.open_checkpoint(base64.b64decode(note).decode()).size
            for note in (log["files"][f"checkpoint.{size}"] for size in range(16))
        ]

        assert list(range(16)) == sizes
