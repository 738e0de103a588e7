"""Whoever owns the database, and does not hold the key: every way to change the trail.

`Tampered` changes one thing, at random and by a seed, in a log that is sound; `found`
says who notices; `mend` makes the log sound again.  Triggers and roles are out of the
way, as they are for a superuser (``session_replication_role = replica``).

One thing is missing here on purpose: a checkpoint that is not the newest may be taken
away unnoticed.  It proves nothing that the others don't.
"""

import random
from collections.abc import Callable, Mapping, Sequence
from typing import Any, Final

from sqlalchemy import Connection, Engine, Table, delete, insert, select, text
from sqlalchemy.exc import IntegrityError

from tests.simulators.trail import ORIGIN, START_NS, Trail, signer
from tests.simulators.verifiers import VERIFIED, Script, callvault
from vault.audit import mark as marks
from vault.audit import tables, tree
from vault.audit.checkpoint import Checkpoint
from vault.audit.entry import Action, Draft, Entry, compose
from vault.audit.fsck import Fsck
from vault.audit.mark import Mark
from vault.audit.mark_check import MarkCheck
from vault.audit.query import objects_of
from vault.audit.rows import indexed_columns
from vault.audit.texts import open_text, seal_text
from vault.core.clock import rfc3339
from vault.core.errors import SealBrokenError
from vault.core.flow import Actor, ActorKind, Caller
from vault.core.ids import new_id
from vault.core.secrets import SecretBytes

KEY: Final = SecretBytes(bytes(32))
TABLES: Final = (
    tables.log_entry,
    tables.log_object,
    tables.log_node,
    tables.log_head,
    tables.log_checkpoint,
    tables.log_text,
)
_script = Script()

Rows = list[dict[str, Any]]
State = dict[str, Rows]


def grow(trail: Trail, chance: random.Random, commits: int) -> None:
    """Let the log grow by *commits* of one to five entries, as a vault's does."""
    for _ in range(commits):
        made = [_leaf(trail.log.size + n, chance) for n in range(chance.randint(1, 5))]
        trail.log.append([one for one, _ in made], [texts for _, texts in made])


def _leaf(number: int, chance: random.Random) -> tuple[bytes, dict[str, Any]]:
    id, texts = new_id(), {}
    if chance.random() < 0.3:
        texts["reason"] = seal_text("why", key=KEY, entry_id=id, field="reason")
    late = chance.random() < 0.2
    draft = Draft(
        action=chance.choice([Action.RECORDING_PLAYED, Action.RECORDING_LISTED]),
        caller=Caller(actor=Actor(kind=ActorKind.USER, id=f"u{number % 3}")),
        recording=f"recording-{number % 5}",
        detail={"grant": f"g{number}"},
        source="tap-1" if late else "",
        source_seq=number if late else 0,
    )
    entry = compose(
        draft,
        id=id,
        time=rfc3339(START_NS + number * 1_000_000_000),
        via="web",
        text_hmacs={field: kept.hmac for field, kept in texts.items()},
    )
    return bytes(entry), texts


def rows_of(connection: Connection) -> State:
    """Return every row of every table."""
    return {
        table.name: [
            dict(row._mapping)
            for row in connection.execute(select(table).order_by(*table.primary_key))
        ]
        for table in TABLES
    }


class Log:
    """A sound log, its mark, and the checkpoint that an officer keeps."""

    def __init__(self, trail: Trail, chance: random.Random) -> None:
        """Keep all of *trail*, whose writer is closed from here on."""
        self.trail, self.chance = trail, chance
        mark = marks.read(trail.mark_path)
        assert mark is not None
        self.mark: Mark = mark
        self.vkey = trail.vkey
        trail.log.close()
        self.engine: Engine = trail.engine
        with self.engine.begin() as connection:
            self.sound = rows_of(connection)
        notes = self.sound["log_checkpoint"]
        self.officer: str = notes[-2]["note"]
        "Older than the newest, so that a cut down to it may be met."

    @property
    def size(self) -> int:
        """Entries."""
        return len(self.sound["log_entry"])

    def write(self, state: Mapping[str, Rows]) -> None:
        """Put *state* in the place of what is there, past every guard rail."""
        with self.engine.begin() as connection:
            without_rails(connection)
            for table in TABLES:
                if table.name in state:
                    connection.execute(delete(table))
                    if state[table.name]:
                        connection.execute(insert(table), state[table.name])

    def found(self, *, mark: Mark | None = None) -> set[str]:
        """Return who notices: ``fsck``, ``officer``, ``script``, ``text``."""
        who: set[str] = set()
        watcher = MarkCheck(mark or self.mark)
        walk = Fsck(self.engine, signer().verifier, watchers=[watcher])
        if walk.run() or list(watcher.end(walk.size)):
            who.add("fsck")
        out = self._export()
        if out is None or callvault(out, self.vkey, self.officer) != VERIFIED:
            who.add("officer")
        if out is None or _script(out, self.vkey, self.officer) != VERIFIED:
            who.add("script")
        if not self._texts_open():
            who.add("text")
        return who

    def _export(self) -> bytes | None:
        try:
            return self.trail.export()
        except Exception:  # noqa: BLE001 - the log does not even let itself be written
            return None

    def _texts_open(self) -> bool:
        with self.engine.begin() as connection:
            rows = connection.execute(select(tables.log_text)).all()
            entries = dict(
                connection.execute(
                    select(tables.log_entry.c.position, tables.log_entry.c.octets)
                ).all()
            )
        try:
            for row in rows:
                members: Any = Entry.parse(entries[row.position]).members
                open_text(
                    row.sealed,
                    key=KEY,
                    entry_id=members["id"],
                    field=row.field,
                    expected_hmac=members["text"][row.field],
                )
        except (SealBrokenError, KeyError, ValueError, TypeError, AttributeError):
            return False
        except Exception:  # noqa: BLE001 - an entry that does not parse is told by fsck
            return False
        return True


def without_rails(connection: Connection) -> None:
    """Let everything be changed, as a superuser may."""
    if connection.dialect.name == "postgresql":
        connection.execute(text("SET LOCAL session_replication_role = replica"))
        return
    names = connection.execute(
        text("SELECT name FROM sqlite_master WHERE type = 'trigger'")
    ).scalars()
    for name in list(names):
        connection.execute(text(f"DROP TRIGGER {name}"))


# --------------------------------------------------------------------- the ways

Change = Callable[[State, random.Random], set[str] | None]
"Changes a state in place; returns the tables touched, None where nothing changed."


def _another(value: Any, chance: random.Random) -> Any:
    """Return something of the same kind, and not the same."""
    if value is None:
        return chance.choice(["x", "tap-1"])
    if isinstance(value, bytes):
        if not value:
            return b"\0"
        at = chance.randrange(len(value))
        flipped = bytes([value[at] ^ 1 << chance.randrange(8)])
        return value[:at] + flipped + value[at + 1 :]
    if isinstance(value, int):
        return value + chance.choice([-2, -1, 1, 2, 1000])
    at = chance.randrange(len(value)) if value else 0
    return f"{value[:at]}{chance.choice('aZ09')}{value[at + 1 :]}"


def _column(table: Table, name: str) -> Change:
    def change(state: State, chance: random.Random) -> set[str] | None:
        row = chance.choice(state[table.name])
        value: Any = _another(row[name], chance)
        if name == "source_seq" and row[name] is None:
            value = 7
        if value == row[name]:
            return None
        row[name] = value
        return {table.name}

    return change


def _delete(table: Table) -> Change:
    def change(state: State, chance: random.Random) -> set[str] | None:
        rows = state[table.name]
        newest = table is tables.log_checkpoint
        rows.pop(len(rows) - 1 if newest else chance.randrange(len(rows)))
        return {table.name}

    return change


def _swap(table: Table, *names: str) -> Change:
    def change(state: State, chance: random.Random) -> set[str] | None:
        one, other = chance.sample(state[table.name], 2)
        if all(one[name] == other[name] for name in names):
            return None
        # Two values of one entry change places: the rows are the same as before.
        if all(one[name] == other[name] for name in one.keys() - set(names)):
            return None
        for name in names:
            one[name], other[name] = other[name], one[name]
        return {table.name}

    return change


def _extra(table: Table) -> Change:
    def change(state: State, chance: random.Random) -> set[str] | None:
        row = dict(chance.choice(state[table.name]))
        beyond = len(state["log_entry"]) + chance.randrange(3)
        if table is tables.log_entry:
            row |= {"source": None, "source_seq": None}
        if table is tables.log_object and chance.random() < 0.5:
            row["object"] = "recording:another"
        elif table is tables.log_text and chance.random() < 0.5:
            row["field"] = "another"
        elif table is tables.log_checkpoint:
            row["size"] = beyond + 1
        elif table is tables.log_head:
            row["id"] = 2
        else:
            row["position"] = beyond
        return _put(state, table, row)

    return change


def _put(state: State, table: Table, row: dict[str, Any]) -> set[str]:
    state[table.name].append(row)
    return {table.name}


def _regrown(state: State, entries: Sequence[bytes]) -> None:
    """Make entries, columns, objects, nodes and head agree, as an owner can."""
    edge, nodes = tree.Edge(), []
    for octets in entries:
        nodes += edge.append(tree.leaf_hash(octets))
    parsed = [Entry.parse(octets) for octets in entries]
    state["log_entry"] = [
        {
            "position": at,
            "octets": octets,
            "source": entry.members.get("source"),
            "source_seq": entry.members.get("seq"),
            **indexed_columns(entry),
        }
        for at, (octets, entry) in enumerate(zip(entries, parsed, strict=True))
    ]
    state["log_object"] = [
        {"position": at, "object": one}
        for at, entry in enumerate(parsed)
        for one in objects_of(entry.members)
    ]
    state["log_node"] = [
        {"level": level, "position": at, "hash": digest}
        for (level, at), digest in nodes
    ]
    state["log_head"] = [{"id": 1, "size": edge.size, "root": edge.root()}]
    state["log_checkpoint"] = [
        row for row in state["log_checkpoint"] if row["size"] <= edge.size
    ]
    state["log_text"] = [
        row for row in state["log_text"] if row["position"] < edge.size
    ]


ALL: Final = {table.name for table in TABLES}


def _octets(state: State) -> list[bytes]:
    return [row["octets"] for row in state["log_entry"]]


def _cut(state: State, chance: random.Random) -> set[str]:
    """Take the newest commits away, without a trace in the database."""
    sizes = [row["size"] for row in state["log_checkpoint"][:-1]]
    _regrown(state, _octets(state)[: chance.choice(sizes)])
    return ALL


def _rewrite(state: State, chance: random.Random) -> set[str]:
    """Change an entry, and everything that follows from it but the signatures."""
    entries = _octets(state)
    at = chance.randrange(len(entries))
    entries[at] = _leaf(at, chance)[0]
    _regrown(state, entries)
    state["log_text"] = [row for row in state["log_text"] if row["position"] != at]
    return ALL


def _forge(state: State, chance: random.Random) -> set[str]:
    """Rewrite, and sign the newest checkpoint with another key."""
    _rewrite(state, chance)
    return _sign(state, chance.randbytes(32))


def _leave_out(state: State, chance: random.Random) -> set[str]:
    """Leave an entry out, or say one twice, or in another order."""
    entries = _octets(state)
    at = chance.randrange(len(entries) - 1)
    match chance.randrange(3):
        case 0:
            entries.pop(at)
        case 1:
            entries.insert(at, _leaf(at, chance)[0])
        case _:
            entries[at], entries[at + 1] = entries[at + 1], entries[at]
    _regrown(state, entries)
    state["log_text"] = []
    return ALL


def _fork(state: State, chance: random.Random) -> set[str]:
    """Go on differently from an earlier commit, under the true key."""
    _cut(state, chance)
    entries = _octets(state)
    more = range(len(entries), len(entries) + chance.randint(1, 30))
    entries += [_leaf(number, chance)[0] for number in more]
    _regrown(state, entries)
    return _sign(state, bytes(range(32)))


def _sign(state: State, seed: bytes) -> set[str]:
    head = state["log_head"][0]
    checkpoint = Checkpoint(origin=ORIGIN, size=head["size"], root=head["root"])
    notes = [row for row in state["log_checkpoint"] if row["size"] != head["size"]]
    signed = signer(seed).sign_checkpoint(checkpoint)
    state["log_checkpoint"] = [*notes, {"size": head["size"], "note": signed}]
    return ALL


WAYS: Final[Mapping[str, Change]] = {
    **{
        f"{table.name}.{column.name}": _column(table, column.name)
        for table in TABLES
        for column in table.columns
    },
    **{f"{table.name} deleted": _delete(table) for table in TABLES[:5]},
    **{f"{table.name} extra": _extra(table) for table in (*TABLES[:3], *TABLES[4:])},
    "entries swapped": _swap(tables.log_entry, "octets"),
    "rows swapped": _swap(
        tables.log_entry, "octets", "time", "action", "actor", "result"
    ),
    "objects swapped": _swap(tables.log_object, "object"),
    "nodes swapped": _swap(tables.log_node, "hash"),
    "notes swapped": _swap(tables.log_checkpoint, "note"),
    "texts swapped": _swap(tables.log_text, "sealed"),
    "cut": _cut,
    "rewritten": _rewrite,
    "rewritten and signed by another key": _forge,
    "left out, doubled or reordered": _leave_out,
    "forked and signed": _fork,
}


def tamper(log: Log, way: str) -> set[str] | None:
    """Change the log in one way, say who notices, and make it sound again.

    Returns:
        Who noticed; None where chance changed nothing, or what no database takes.
    """
    state = {name: [dict(row) for row in rows] for name, rows in log.sound.items()}
    touched = WAYS[way](state, log.chance)
    if touched is None or all(state[name] == log.sound[name] for name in touched):
        return None
    try:
        log.write({name: state[name] for name in touched})
    except IntegrityError:
        return None  # two rows of one key: no database takes that
    try:
        return log.found()
    finally:
        log.write({name: log.sound[name] for name in touched})


def restored_with_its_mark(log: Log) -> set[str]:
    """Cut database *and* mark to before the officer's checkpoint: a whole backup."""
    state = {name: [dict(row) for row in rows] for name, rows in log.sound.items()}
    earlier = state["log_checkpoint"][:-2]
    note = log.chance.choice(earlier)["note"]
    cut = Checkpoint.unverified(note)
    _regrown(state, _octets(state)[: cut.size])
    log.write(state)
    try:
        return log.found(mark=Mark.of(cut, note))
    finally:
        log.write(log.sound)
