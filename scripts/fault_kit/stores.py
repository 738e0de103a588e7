"""A store that is down, slow or lying, under calls.

Calls end while it misbehaves, in one way after the other; others go on through all of
it.  Then the store works again, and everything must be in it: whole, once, told to
catalog and trail, and not one octet freed before it had been read back.

Where a real gateway runs (`tests.simulators.radosgw`), it is taken away, too, and put
behind a wire that cuts answers, alters them or keeps silent.
"""

import contextlib
import hashlib
import random
import sys
import threading
import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Self

from site_under_test import Call, Sender, Settings, Site, fresh_place, site_at, until
from truth import Spool

from tests.simulators import radosgw
from tests.simulators.lying_s3 import Lie, LyingS3
from tests.simulators.s3_faults import Fault, wire
from vault.core.errors import StoreUnavailableError, VaultError
from vault.core.ids import RecordingId
from vault.core.secrets import SecretBytes
from vault.objects.keys import ObjectKey
from vault.objects.s3 import S3Config, S3Store, client

_BUCKET = "vault"
_DRAINED_WITHIN_S = 300.0
_LIES = (
    *(Lie.SLOW_DOWN, Lie.ERROR_500, Lie.RESET, Lie.TRUNCATES, Lie.FORGETS),
    *(Lie.ALTERS, Lie.WRONG_ETAG, Lie.LOSES_LATER, Lie.FORBIDDEN, Lie.SKEWED),
    *(Lie.REDIRECT_LOOP, Lie.HANG),
)
_SLOW = frozenset({Lie.HANG})
"Each takes as long as a time-out: one is enough."


class Watched(LyingS3):
    """A lying store that remembers what was asked of it, in order."""

    def __init__(self) -> None:
        self.asked: list[tuple[str, str]] = []
        super().__init__()

    def lie_for(self, method: str, key: str) -> Lie | None:
        """Remember."""
        self.asked.append((method, key))
        return super().lie_for(method, key)

    def never_read_back(self, key: str) -> bool:
        """Return whether nobody has read *key* since it was last put."""
        asked = [method for method, about in list(self.asked) if about == key]
        last_put = max((i for i, one in enumerate(asked) if one == "PUT"), default=-1)
        return last_put >= 0 and "GET" not in asked[last_put:]


@dataclass(kw_only=True)
class _Tally:
    """What trouble with a store has cost."""

    recordings_lost: int = 0
    "Not whole in the store, although freed."
    duplicates: int = 0
    "Objects that no manifest names."
    told_again: int = 0
    "Leaves beyond a recording's first: it was stored, lost, and stored again."
    freed_before_read_back: int = 0
    calls_unaccounted: int = 0
    calls_unreadable: int = 0
    not_drained: int = 0
    packets_missing: int = 0


@dataclass
class _Truth:
    """What is really in a store."""

    read: Callable[[str], bytes]
    "By bucket and key; `KeyError` where there is none."
    keys: Callable[[], list[str]]
    never_read_back: Callable[[str], bool] = field(default=lambda _: False)

    def object_of(self, recording_id: RecordingId, name: str) -> bytes:
        """Return one object of a recording."""
        bucket = f"{_BUCKET}-envelopes" if name == "envelope" else _BUCKET
        return self.read(f"{bucket}/{recording_id}/{name}")

    def is_whole(self, spool: Spool, recording_id: RecordingId) -> bool:
        """Return whether every object is there, as it was signed."""
        with contextlib.suppress(KeyError, VaultError):
            manifest = spool.manifest(self.object_of(recording_id, "manifest"))
            digests = [
                hashlib.sha256(self.object_of(recording_id, one.name)).digest()
                for one in manifest.objects
            ]
            self.object_of(recording_id, "envelope")
            return digests == [one.sha256 for one in manifest.objects]
        return False


def lie_under_calls(
    calls: int, lies: int, seed: int, settings: Settings | None = None
) -> dict[str, object]:
    """Have *calls* end during each lie, told *lies* times; then let it tell none."""
    chance = random.Random(seed)  # noqa: S311 - an order, no secrets
    order = list(_LIES)
    chance.shuffle(order)
    store = Watched()
    truth = _Truth(
        read=store.objects.__getitem__,
        keys=lambda: list(store.objects),
        never_read_back=store.never_read_back,
    )

    def troubles() -> Iterator[Lie]:
        for lie in order:
            store.lie(lie, times=1 if lie in _SLOW else lies)
            yield lie
            with contextlib.suppress(RuntimeError):
                until(lambda: not store.lies_left, "the lie was told", 25.0)
            store.lie(lie, times=0)

    try:
        with _site(store.endpoint, settings) as site:
            return _under_trouble("lies", site, truth, calls, troubles())
    finally:
        store.close()


def outage_under_calls(
    calls: int, down_s: float, settings: Settings | None = None
) -> dict[str, object]:
    """Take a real gateway away for *down_s*, and spoil the wire to it."""
    with (
        radosgw.running() as gateway,
        wire("127.0.0.1", gateway.port) as to_it,
        _site(to_it.endpoint, settings, gateway.access_key, gateway.secret_key) as site,
    ):
        truth = _truth_of(gateway)

        def troubles() -> Iterator[str]:
            gateway.stop_gateway()
            yield "down"
            time.sleep(down_s)
            gateway.start_gateway()
            for fault in (Fault.SILENT, Fault.CUT, Fault.FLIP, Fault.REDIRECT):
                to_it.fault = fault
                yield fault.name
                time.sleep(min(down_s / 4, 30.0))
            to_it.fault = Fault.NONE

        found = _under_trouble("outage", site, truth, calls, troubles())
        # Nobody counts what a real gateway is asked.
        del found["freed_before_read_back"]
        return found


def _under_trouble(
    family: str, site: Site, truth: _Truth, calls: int, troubles: Iterator[object]
) -> dict[str, object]:
    tally = _Tally()
    spool = site.spool()
    staying, ended = site.begin(calls), list[Call]()
    sender = Sender(staying)
    began_s = time.monotonic()
    with _Freed(site, truth) as freed:
        for kinds, trouble in enumerate(troubles, 1):  # noqa: B007 - told at the end
            print(f"  {trouble}", file=sys.stderr, flush=True)
            passing = site.begin(calls)
            with _speaking(passing):
                time.sleep(1.0)
            site.end(passing)
            ended += passing
        over_s = time.monotonic()
        sent = sender.stop()
        time.sleep(0.5)
        site.end(staying)
        with contextlib.suppress(RuntimeError):
            until(lambda: not spool.recordings(), "it is drained", _DRAINED_WITHIN_S)
        drained_s = time.monotonic()
        tally.not_drained = len(spool.recordings())
    tally.recordings_lost, tally.freed_before_read_back = freed.lost, freed.not_read
    _account(site, truth, [*ended, *staying], tally)
    _packets(site, truth, staying, sent, tally)
    return {
        "family": family,
        "kinds_of_trouble": kinds,
        "calls": len(ended) + len(staying),
        **vars(tally),
        "trouble_s": round(over_s - began_s, 1),
        "drained_in_s": round(drained_s - over_s, 1),
    }


class _Freed:
    """Looks at each recording at the moment when its spool is freed."""

    def __init__(self, site: Site, truth: _Truth) -> None:
        self._spool, self._truth = site.spool(), truth
        self._over = threading.Event()
        self.lost = 0
        self.not_read = 0
        self._thread = threading.Thread(target=self._watch)

    def __enter__(self) -> Self:
        self._thread.start()
        return self

    def __exit__(self, *exc: object) -> None:
        self._over.set()
        self._thread.join()

    def _watch(self) -> None:
        waiting: set[RecordingId] = set()
        while True:
            last = self._over.is_set()
            there = self._spool.recordings()
            for one in waiting - there:
                self._look(one)
            waiting = there
            if last:
                return
            self._over.wait(0.05)

    def _look(self, recording_id: RecordingId) -> None:
        self.lost += not self._truth.is_whole(self._spool, recording_id)
        prefixes = tuple(
            f"{bucket}/{recording_id}/" for bucket in (_BUCKET, f"{_BUCKET}-envelopes")
        )
        self.not_read += sum(
            self._truth.never_read_back(key)
            for key in self._truth.keys()  # noqa: SIM118 - no mapping
            if key.startswith(prefixes)
        )


def _account(site: Site, truth: _Truth, calls: Sequence[Call], tally: _Tally) -> None:
    waiting = site.spool().recordings()
    captured: dict[str, int] = {}
    for line in site.trail():
        entry = line.get("entry", {})
        if entry.get("action") == "recording.captured":
            captured[entry["recording"]] = captured.get(entry["recording"], 0) + 1
    keys = truth.keys()
    for call in calls:
        if call.id in waiting:
            continue  # counted as not drained
        tally.calls_unaccounted += not captured.get(call.id)
        tally.told_again += max(0, captured.get(call.id, 0) - 1)
        with contextlib.suppress(KeyError, VaultError):
            manifest = site.spool().manifest(truth.object_of(call.id, "manifest"))
            signed = {f"{_BUCKET}/{call.id}/{one.name}" for one in manifest.objects}
            signed.add(f"{_BUCKET}/{call.id}/manifest")
            stored = {key for key in keys if key.startswith(f"{_BUCKET}/{call.id}/")}
            tally.duplicates += len(stored - signed)


def _packets(
    site: Site,
    truth: _Truth,
    calls: Sequence[Call],
    sent: dict[RecordingId, tuple[int, ...]],
    tally: _Tally,
) -> None:
    for call in calls:
        try:
            kept = site.spool().kept(call.id, read=truth.object_of)
        except (VaultError, KeyError) as error:
            print(f"{call.id}: {error!r}", file=sys.stderr)
            tally.calls_unreadable += 1
            continue
        tally.packets_missing += sum(
            kept.missing(leg, count) for leg, count in enumerate(sent[call.id])
        )


@contextlib.contextmanager
def _speaking(calls: Sequence[Call]) -> Iterator[None]:
    sender = Sender(calls)
    try:
        yield
    finally:
        sender.stop()


@contextlib.contextmanager
def _site(
    endpoint: str,
    settings: Settings | None,
    access_key: str = "any",
    secret_key: str = "any-secret",  # noqa: S107 - of a store in memory
) -> Iterator[Site]:
    with fresh_place() as folder:
        keys = {
            "CALLVAULT_OBJECTS_ACCESS_KEY_FILE": _kept(folder.parent / "a", access_key),
            "CALLVAULT_OBJECTS_SECRET_KEY_FILE": _kept(
                folder.parent / "s.k", secret_key
            ),
        }
        url = f"s3://{endpoint}/{_BUCKET}?secure=false"
        told = {"CALLVAULT_OBJECTS_URL": url, **keys, **(settings or {})}
        with site_at(folder, told) as site:
            site.start_warden()
            site.start()
            yield site


def _kept(path: Path, secret: str) -> str:
    path.write_text(secret)
    path.chmod(0o600)
    return str(path)


def _truth_of(gateway: radosgw.Radosgw) -> _Truth:
    shared = client(
        S3Config(
            endpoint=gateway.endpoint,
            access_key=SecretBytes(gateway.access_key.encode()),
            secret_key=SecretBytes(gateway.secret_key.encode()),
            secure=False,
        )
    )
    stores = {name: S3Store(shared, name) for name in (_BUCKET, f"{_BUCKET}-envelopes")}

    def read(path: str) -> bytes:
        bucket, _, key = path.partition("/")
        # It may be down at the very moment when somebody looks.
        for _ in range(10):
            with contextlib.suppress(StoreUnavailableError):
                return stores[bucket].read(ObjectKey(key))
            time.sleep(1.0)
        raise KeyError(path)

    def keys() -> list[str]:
        return [
            f"{bucket}/{key}"
            for bucket, store in stores.items()
            for key in store.keys()  # noqa: SIM118 - no mapping
        ]

    return _Truth(read=read, keys=keys)
