from pathlib import Path
from typing import Any

import httpx
import pytest

from tests.simulators.trail import ORIGIN, Trail, signer
from tests.simulators.witnesses import NOW_S, Near, cosigner, witness
from vault.audit.checkpoint import Verifier
from vault.audit.reading import TrailReader
from vault.auditor.asking import Answer
from vault.auditor.cosigned import CosignedNote
from vault.auditor.places import WitnessPlace, witnesses
from vault.auditor.witnessing import Witnessing
from vault.core.errors import InvalidInputError, TrailBrokenError, UnavailableError
from vault.database.engine import open_engine
from vault.witness.judging import Witness


@pytest.fixture
def trail(tmp_path: Path) -> Trail:
    return made(tmp_path / "log", 5)


def made(folder: Path, entries: int, *, origin: str = ORIGIN) -> Trail:
    folder.mkdir()
    trail = Trail(
        engine=open_engine(f"sqlite:///{folder}", schema="audit"),
        folder=folder,
        origin=origin,
    )
    trail.grow(entries - trail.log.size)
    return trail


@pytest.fixture
def near(tmp_path: Path, trail: Trail) -> Near:
    key = Verifier.parse(trail.vkey)
    found: dict[str, Witness] = {
        f"w{n}": witness(tmp_path / f"w{n}", key, number=n) for n in (1, 2, 3)
    }
    return Near(found)


def duty(
    trail: Trail | TrailReader, near: Near, folder: Path, *, quorum: int = 2
) -> Witnessing:
    reader = trail.reader if isinstance(trail, Trail) else trail
    places = tuple(
        WitnessPlace(url=f"http://w{n}", cosigner=cosigner(n).cosigner)
        for n in (1, 2, 3)
    )
    folder.mkdir(exist_ok=True)
    return Witnessing(
        trail=reader,
        verifier=signer().verifier,
        witnesses=places,
        quorum=quorum,
        asking=near,
        cosigned=CosignedNote(folder),
        folder=folder,
    )


class Restored:
    """The trail of a warden below which another log comes to lie."""

    def __init__(self, trail: Trail) -> None:
        self.trail = trail

    def __getattr__(self, name: str) -> Any:
        return getattr(self.trail.reader, name)


class TestRounds:
    def test_all_witnesses_cosign_and_the_note_is_kept_with_all_of_them(
        self, trail: Trail, near: Near, tmp_path: Path
    ) -> None:
        duty(trail, near, tmp_path / "a").run()
        note = CosignedNote(tmp_path / "a").read() or ""
        sizes = {cosigner(n).cosigner.open(note).checkpoint.size for n in (1, 2, 3)}

        assert {trail.log.size} == sizes
        assert trail.log.size == signer().verifier.open_checkpoint(note).size

    def test_a_log_that_grew_is_proved_from_the_size_that_each_knows(
        self, trail: Trail, near: Near, tmp_path: Path
    ) -> None:
        asks = duty(trail, near, tmp_path / "a")
        asks.run()
        before = len(near.bodies)
        trail.grow(30, batch=7)
        asks.run()
        bodies = near.bodies[before:]

        assert 3 == len(bodies)
        assert {b"old 5"} == {body.partition(b"\n")[0] for body in bodies}
        assert 35 == asks.facts()["cosigned_size"]

    def test_another_process_asks_what_the_witness_knows(
        self, trail: Trail, near: Near, tmp_path: Path
    ) -> None:
        duty(trail, near, tmp_path / "a").run()
        trail.grow(3)
        elsewhere = duty(trail, near, tmp_path / "b")
        elsewhere.run()

        assert 8 == elsewhere.facts()["cosigned_size"]

    def test_a_process_that_starts_again_remembers(
        self, trail: Trail, near: Near, tmp_path: Path
    ) -> None:
        duty(trail, near, tmp_path / "a").run()
        again = duty(trail, near, tmp_path / "a")
        facts = again.facts()
        near.bodies.clear()
        again.run()

        assert (5, NOW_S) == (facts["cosigned_size"], facts["cosigned_time_s"])
        assert 3 == len(near.bodies)

    def test_who_is_away_is_named_and_stops_nobody(
        self, trail: Trail, near: Near, tmp_path: Path
    ) -> None:
        near.away.add("w2")
        asks = duty(trail, near, tmp_path / "a")
        asks.run()
        warning = str(asks.facts()["warning"])

        assert 5 == asks.facts()["cosigned_size"]
        assert "witness.example/w2" in warning
        assert "witness.example/w1" not in warning

    def test_below_the_quorum_nothing_is_kept_and_it_says_so(
        self, trail: Trail, near: Near, tmp_path: Path
    ) -> None:
        near.away.update({"w1", "w2"})
        asks = duty(trail, near, tmp_path / "a")
        with pytest.raises(UnavailableError, match="1 of 2 witnesses"):
            asks.run()

        assert CosignedNote(tmp_path / "a").read() is None

    def test_a_witness_that_does_not_follow_this_log_lags(
        self, trail: Trail, near: Near, tmp_path: Path
    ) -> None:
        near.witnesses["w3"] = witness(
            tmp_path / "other", signer(name="other").verifier, number=3
        )
        asks = duty(trail, near, tmp_path / "a")
        asks.run()

        assert "w3 does not follow it" in str(asks.facts()["warning"])

    def test_the_successor_of_a_log_is_another_log_to_a_witness(
        self, trail: Trail, tmp_path: Path
    ) -> None:
        later = f"{ORIGIN}/2"
        keys = [signer(name=name).verifier for name in (ORIGIN, later)]
        near = Near(
            {f"w{n}": witness(tmp_path / f"w{n}", *keys, number=n) for n in (1, 2, 3)}
        )
        restored = Restored(trail)
        asks = duty(restored, near, tmp_path / "a")  # type: ignore[arg-type]
        asks.run()
        restored.trail = made(tmp_path / "restored", 3, origin=later)
        asks.run()
        note = CosignedNote(tmp_path / "a").read() or ""

        assert 3 == asks.facts()["cosigned_size"]
        assert later == cosigner(1).cosigner.open(note).checkpoint.origin

    def test_a_witness_that_names_a_size_between_is_asked_again(
        self, trail: Trail, near: Near, tmp_path: Path
    ) -> None:
        class Stuck:
            def post(self, url: str, body: bytes, *, media_type: str) -> Answer:
                return Answer(status=409, media_type="text/x.tlog.size", body=b"3\n")

        asks = duty(trail, near, tmp_path / "a")
        asks._asking = Stuck()
        with pytest.raises(UnavailableError, match="does not settle on a size"):
            asks.run()


class TestContradictions:
    def test_a_disk_that_takes_nothing_hides_none(
        self, trail: Trail, near: Near, tmp_path: Path
    ) -> None:
        duty(trail, near, tmp_path / "a").run()
        for n in (1, 2):
            near.witnesses[f"w{n}"] = witness(
                tmp_path / f"new{n}", signer().verifier, number=n
            )
        asks = duty(made(tmp_path / "other", 5), near, tmp_path / "b")

        class Full(CosignedNote):
            def write(self, note: str) -> None:
                raise UnavailableError("no space left")

        asks._cosigned = Full(tmp_path / "b")
        with pytest.raises(TrailBrokenError, match=r"witness\.example/w3"):
            asks.run()

    def test_a_database_that_was_rolled_back_is_found(
        self, trail: Trail, near: Near, tmp_path: Path
    ) -> None:
        trail.grow(10)
        duty(trail, near, tmp_path / "a").run()
        older = made(tmp_path / "older", 7)
        with pytest.raises(TrailBrokenError, match=r"15 entries, and the log has 7"):
            duty(older, near, tmp_path / "a").run()

    def test_so_it_is_by_an_auditor_that_remembers_nothing(
        self, trail: Trail, near: Near, tmp_path: Path
    ) -> None:
        trail.grow(10)
        duty(trail, near, tmp_path / "a").run()
        older = made(tmp_path / "older", 7)
        with pytest.raises(TrailBrokenError, match=r"15 entries, and the log has 7"):
            duty(older, near, tmp_path / "b").run()

    @pytest.mark.parametrize("more", [0, 6])
    def test_another_log_of_the_same_name_is_found_and_kept(
        self, trail: Trail, near: Near, tmp_path: Path, more: int
    ) -> None:
        duty(trail, near, tmp_path / "a").run()
        # Ids of entries are random: as many other entries are another tree.
        other = made(tmp_path / "other", 5 + more)
        with pytest.raises(TrailBrokenError, match="another log of this name"):
            duty(other, near, tmp_path / "b").run()

        assert 3 == len(list((tmp_path / "b").glob("contradicted-*.txt")))

    def test_one_witness_is_enough_to_raise_the_alarm(
        self, trail: Trail, near: Near, tmp_path: Path
    ) -> None:
        duty(trail, near, tmp_path / "a").run()
        other = made(tmp_path / "other", 5)
        near.away.update({"w1", "w2"})
        asks = duty(other, near, tmp_path / "b")
        with pytest.raises(TrailBrokenError, match=r"witness\.example/w3"):
            asks.run()

        # It does not lag: what it says is the alarm itself.
        assert "w3" not in str(asks.facts()["warning"])

    def test_a_checkpoint_that_the_log_has_not_signed_is_shown_to_nobody(
        self, near: Near, tmp_path: Path
    ) -> None:
        folder = tmp_path / "strange"
        folder.mkdir()
        strange = Trail(
            engine=open_engine(f"sqlite:///{folder}", schema="audit"),
            folder=folder,
            seed=bytes(32),
        )
        strange.grow(3)
        with pytest.raises(TrailBrokenError, match="not signed"):
            duty(strange, near, tmp_path / "a").run()

        assert [] == near.bodies


class TestLyingWitnesses:
    @pytest.mark.parametrize(
        "answer",
        [
            httpx.Response(200, text=""),
            httpx.Response(200, text="\u2014 witness.example/w1 AAAAAAA=\n"),
            httpx.Response(200, text=cosigner(9).cosign("x\n", time_s=1)),
            httpx.Response(200, content=b"\xff\xfe"),
            httpx.Response(409, text="7\n"),
            httpx.Response(
                409, text="-7\n", headers={"content-type": "text/x.tlog.size"}
            ),
            httpx.Response(302, headers={"location": "http://elsewhere"}),
            httpx.Response(500, text="oops"),
        ],
    )
    def test_an_answer_that_is_none_counts_for_nothing_and_is_no_alarm(
        self, trail: Trail, near: Near, tmp_path: Path, answer: httpx.Response
    ) -> None:
        near.change = lambda _: answer
        with pytest.raises(UnavailableError, match="0 of 2"):
            duty(trail, near, tmp_path / "a").run()

    def test_the_cosignature_of_another_checkpoint_does_not_count(
        self, trail: Trail, near: Near, tmp_path: Path
    ) -> None:
        older = trail.reader.checkpoint().partition("\n\n")[0] + "\n"
        line = cosigner(1).cosign(older, time_s=NOW_S)
        trail.grow(1)
        near.change = lambda _: httpx.Response(200, text=line)
        with pytest.raises(UnavailableError, match="is wrong"):
            duty(trail, near, tmp_path / "a").run()


class TestPlaces:
    def test_a_place_is_a_url_and_a_key(self) -> None:
        key = str(cosigner().cosigner)
        found = WitnessPlace.parse(f" https://w.example/sub/ {key}")

        assert ("https://w.example/sub", key) == (found.url, str(found.cosigner))

    @pytest.mark.parametrize(
        "text",
        [
            "",
            "https://w.example",
            f"http://w.example {cosigner().cosigner}",
            f"ftp://w.example {cosigner().cosigner}",
            f"https://w.example {signer().verifier}",
        ],
    )
    def test_anything_else_is_refused(self, text: str) -> None:
        with pytest.raises(InvalidInputError):
            WitnessPlace.parse(text)

    def test_a_quorum_that_cannot_be_is_refused(self) -> None:
        one = f"https://w1.example {cosigner(1).cosigner}"
        with pytest.raises(InvalidInputError, match="no quorum"):
            witnesses((one,), quorum=2)
        with pytest.raises(InvalidInputError, match="twice"):
            witnesses((one, one), quorum=1)


class TestTheKeptNote:
    def test_an_older_one_does_not_take_its_place(
        self, trail: Trail, tmp_path: Path
    ) -> None:
        older = trail.reader.checkpoint()
        trail.grow(1)
        newer = trail.reader.checkpoint()
        kept = CosignedNote(tmp_path)
        kept.write(newer)
        kept.write(older)

        assert newer == kept.read()

    def test_one_of_another_log_does(self, trail: Trail, tmp_path: Path) -> None:
        kept = CosignedNote(tmp_path)
        kept.write(trail.reader.checkpoint())
        successor = signer(name="vault.example/audit/2").sign(
            "vault.example/audit/2\n1\n" + "A" * 43 + "=\n"
        )
        kept.write(successor)

        assert successor == kept.read()
