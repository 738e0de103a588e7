"""``recordings``: where they stand, one as a file, and late keys, for an operator.

Guarantees: an export is on the trail before its first octet leaves.  Keys that are
handed in are never printed, and are read from a private file or standard input, never
from the command line.  The other commands open nothing: they tell states and sizes,
nothing of what was said or by whom.

Left to others: how a file is made (`vault.commands.files`).
"""

import json
import sys
from collections.abc import Iterable, Iterator
from enum import StrEnum, unique
from pathlib import Path
from typing import Annotated, BinaryIO

import typer
from rich.progress import Progress, TaskID

from vault import config
from vault.catalog.recordings import Recordings
from vault.commands.changes import looking
from vault.commands.files import Overwrite, check_free, whole_file
from vault.commands.output import ERR, AsJson, failures, note, say, show, show_json
from vault.core.flow import MediaPart, SessionChange
from vault.core.ids import parse_recording_id
from vault.playback.choice import FLAC
from vault.playback.export import SIGNALLING, Export
from vault.recorder.keys import load_manifest_key
from vault.renditions.deferred import DeferredDecryption
from vault.renditions.deposit import AddendumKey
from vault.renditions.late_keys import LATE_KEYS, MAX_FILE_BYTES, LateKeys
from vault.renditions.pcapng import to_pcapng
from vault.renditions.recovering import Recovery
from vault.sealing.members import to_base64
from vault.sealing.padding import unpad
from vault.sealing.signalling import Signalling
from vault.serving.borrowed import borrowed_warden, operator
from vault.serving.tap_door import change_call, door_of
from vault.wiring import WORKER_NAME, Installation

recordings = typer.Typer(
    no_args_is_help=True, help="Recordings, as the catalog has them."
)


@unique
class Format(StrEnum):
    """What a recording can be exported as."""

    FLAC = "flac"
    PCAPNG = "pcapng"
    CAPTURE = "capture"
    SIGNALLING = "signalling"


@recordings.command("list")
def recordings_list(
    *,
    limit: Annotated[int, typer.Option(min=1, max=10_000, help="Newest first.")] = 50,
    as_json: AsJson = False,
) -> None:
    """List recordings: states and sizes, nothing of what was said or by whom."""
    with looking() as installation:
        rows = [
            {
                "id": row.id,
                "day": row.day,
                "state": str(row.state),
                "reason": str(row.reason or ""),
                "duration_s": None
                if row.duration_ms is None
                else row.duration_ms / 1000,
                "bytes": row.size_bytes,
            }
            for row in Recordings(installation.catalog).newest(limit)
        ]
        show(rows, as_json=as_json, empty="No recordings yet.")


@recordings.command("show")
def recordings_show(
    recording: Annotated[str, typer.Argument(help="Its id.")],
    *,
    as_json: AsJson = False,
) -> None:
    """Show where one recording stands and which objects it has."""
    with looking() as installation:
        catalog = Recordings(installation.catalog)
        row = catalog.row(parse_recording_id(recording))
        objects = [
            {"name": name, "size": one.size, "media_type": one.media_type}
            for name, one in sorted(catalog.objects(row.id).items())
        ]
        if as_json:
            show_json(
                {
                    "id": row.id,
                    "state": str(row.state),
                    "reason": str(row.reason or ""),
                    "objects": objects,
                }
            )
            return
        say(f"{row.id}: {row.state} {row.reason or ''}".rstrip())
        show(objects, as_json=False, empty="Nothing in the store yet.")


@recordings.command("pause")
def recordings_pause(
    recording: Annotated[str, typer.Argument(help="Its id.")],
    resume_after: Annotated[
        float | None,
        typer.Option(min=0.1, max=86_400, help="Seconds; else as configured."),
    ] = None,
    *,
    as_json: AsJson = False,
) -> None:
    """Pause a call that is being recorded by the tap of this machine."""
    change = SessionChange(paused=True, resume_after_s=resume_after)
    _change(recording, change, as_json=as_json)


@recordings.command("resume")
def recordings_resume(
    recording: Annotated[str, typer.Argument(help="Its id.")],
    *,
    as_json: AsJson = False,
) -> None:
    """Go on recording a call that was paused."""
    _change(recording, SessionChange(paused=False), as_json=as_json)


@recordings.command("export")
def recordings_export(
    recording: Annotated[str, typer.Argument(help="Its id.")],
    output: Annotated[Path, typer.Option(help="File to make; - for standard output.")],
    format: Annotated[
        Format,
        typer.Option(
            help="Audio, packets for Wireshark, the capture as it is, or what the PBX "
            "sent beside it (JSON lines)."
        ),
    ] = Format.FLAC,
    *,
    overwrite: Overwrite = False,
    as_json: AsJson = False,
) -> None:
    """Write one recording, in plaintext, to a file; the trail says who had it."""
    with failures():
        if str(output) != "-":
            check_free(output, overwrite=overwrite)
        installation = Installation(config.load())
        with borrowed_warden(installation) as warden:
            export = Export(
                parse_recording_id(recording),
                MediaPart.AUDIO if format is Format.FLAC else MediaPart.CAPTURE,
                caller=operator(),
                catalog=Recordings(installation.catalog),
                store=installation.stores.media,
                keys=warden,
                trail=warden,
                media_type=FLAC if format is Format.FLAC else None,
                signalling=format is Format.SIGNALLING,
            )
            with Progress(console=ERR, transient=True) as bar:
                task = bar.add_task("Exporting", total=export.size)
                blocks: Iterable[bytes] = _watched(export, bar, task)
                if format is Format.PCAPNG:
                    blocks = to_pcapng(blocks, _deferred(export))
                elif format is Format.SIGNALLING:
                    blocks = _documents(export)
                written = _write(output, blocks, overwrite=overwrite)
    if as_json:
        if str(output) != "-":
            show_json({"file": str(output), "format": str(format), "bytes": written})
    else:
        note(f"{written} octets of {format}")


@recordings.command("recover")
def recordings_recover(
    recording: Annotated[str, typer.Argument(help="Its id.")],
    srtp_key_file: Annotated[
        Path,
        typer.Option(help="Keys that came late, mode 0600; - for standard input."),
    ],
    *,
    as_json: AsJson = False,
) -> None:
    """Open packets that failed authentication with SRTP keys that came late."""
    with failures():
        late = _late_keys(srtp_key_file)
        installation = Installation(config.load())
        installation.require("worker/addendum.key", "keys/roster.json")
        id = parse_recording_id(recording)
        signing = load_manifest_key(
            installation.folder / "worker" / "addendum.key", name=WORKER_NAME
        )
        with borrowed_warden(installation) as warden:
            opened = Recovery(
                catalog=Recordings(installation.catalog),
                store=installation.stores.media,
                keys=warden,
                trail=warden,
                signer=AddendumKey(name=WORKER_NAME, private=signing.private),
                tap_keys=lambda: installation.roster().tap_keys(),
            ).hand_in(id, late, caller=operator())
    if as_json:
        show_json(
            {
                "id": id,
                "recovered": opened.recovered,
                "undecryptable": opened.undecryptable,
            }
        )
        return
    say(
        f"{opened.recovered} packets opened, {opened.undecryptable} still fail "
        "authentication; a worker makes the recording anew"
    )


def _change(recording: str, change: SessionChange, *, as_json: bool) -> None:
    with failures():
        installation = Installation(config.load())
        door = door_of(installation.folder)
        status = change_call(
            door, parse_recording_id(recording), change, proof=installation.warden_lock
        )
    if as_json:
        show_json(
            {
                "id": status.recording_id,
                "state": status.state,
                "resumes_in_s": status.resumes_in_s,
            }
        )
        return
    by_itself = (
        ""
        if status.resumes_in_s is None
        else (f", resumes by itself in {status.resumes_in_s:g} s")
    )
    say(f"{status.recording_id}: {status.state}{by_itself}")


def _documents(export: Export) -> Iterator[bytes]:
    """Yield one line of JSON for each document, its octets as text where they are."""
    for octets in export.beside(SIGNALLING):
        kept = Signalling.parse(unpad(octets))
        for one in kept.documents:
            members: dict[str, str] = {"received": kept.received, "kind": one.kind}
            try:
                members["text"] = one.octets.decode()
            except UnicodeDecodeError:
                members["base64"] = to_base64(one.octets)
            yield json.dumps(members).encode() + b"\n"


def _deferred(export: Export) -> DeferredDecryption:
    """Return what opens the packets that late keys were handed in for."""
    handed_in = [LateKeys.unpadded(each) for each in export.beside(LATE_KEYS)]
    return DeferredDecryption([key for keys in handed_in for key in keys.keys])


def _late_keys(file: Path) -> LateKeys:
    if str(file) == "-":
        return LateKeys.parse(sys.stdin.buffer.read(MAX_FILE_BYTES + 1))
    return LateKeys.parse(config.read_secret(file).reveal())


def _watched(blocks: Iterable[bytes], bar: Progress, task: TaskID) -> Iterator[bytes]:
    for block in blocks:
        yield block
        bar.advance(task, len(block))


def _write(output: Path, blocks: Iterable[bytes], *, overwrite: bool = False) -> int:
    if str(output) == "-":
        return _copied(blocks, sys.stdout.buffer)
    with whole_file(output, overwrite=overwrite) as file:
        return _copied(blocks, file)


def _copied(blocks: Iterable[bytes], file: BinaryIO) -> int:
    written = 0
    for block in blocks:
        written += file.write(block)
    file.flush()
    return written
