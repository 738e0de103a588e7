"""``simulate``: a call on its way in."""

import json
import sys
from pathlib import Path
from typing import Annotated

import httpx
import typer
from rich.progress import BarColumn, Progress, TextColumn, TimeRemainingColumn

from vault import config
from vault.commands.output import ERR, AsJson, failures, say, show_json
from vault.config import read_secret
from vault.core.errors import InvalidInputError, UnavailableError
from vault.core.media import SrtpSuite
from vault.tap.simulate import SimulatedCall

_TIMEOUT_S = 15.0


def simulate(
    *,
    forks: Annotated[
        str, typer.Option(help="Address of the fork API; else as configured here.")
    ] = "",
    token_file: Annotated[
        Path, typer.Option(help="File with the device's token; - for standard input.")
    ],
    suite: Annotated[
        SrtpSuite, typer.Option(help="SRTP suite, or PLAIN_RTP for none.")
    ] = SrtpSuite.AES_CM_128_HMAC_SHA1_80,
    mki: Annotated[
        int, typer.Option(min=0, max=128, help="Octets of the MKI in each packet.")
    ] = 0,
    codec: Annotated[
        list[str] | None,
        typer.Option(help="PCMU or PCMA: agent first, customer second."),
    ] = None,
    seconds: Annotated[
        float | None, typer.Option(min=0.1, max=86_400, help="Length; it repeats.")
    ] = None,
    agent: Annotated[str, typer.Option(help="Who takes the call.")] = "ada",
    workgroup: Annotated[str, typer.Option(help="Whose call it is.")] = "",
    caller: Annotated[str, typer.Option(help="Calling number.")] = "+442079460123",
    callee: Annotated[str, typer.Option(help="Called number.")] = "+442079460100",
    direction: Annotated[
        str, typer.Option(help="inbound, outbound or internal.")
    ] = "inbound",
    as_json: AsJson = False,
) -> None:
    """Be a PBX: place one real call with two speaking parties."""
    with failures():
        encodings = ((codec or ["PCMU"])[0], (codec or ["PCMU"])[-1])
        if not set(encodings) <= {"PCMU", "PCMA"}:
            raise InvalidInputError("--codec takes PCMU or PCMA")
        if mki and suite.is_plain:
            raise InvalidInputError("--mki names a key, and PLAIN_RTP has none")
        call = SimulatedCall(
            suite=suite, encodings=encodings, seconds=seconds, mki_size_bytes=mki
        )
        facts = {
            "id": "simulated",
            "agent": agent,
            "workgroup": workgroup,
            "caller": caller,
            "callee": callee,
            "direction": direction,
        }
        with httpx.Client(
            base_url=forks or _configured(),
            headers={"Authorization": f"Bearer {_token(token_file)}"},
            timeout=_TIMEOUT_S,
        ) as client:
            opened = _asked(
                client,
                "POST",
                "/api/v1/forks",
                {"sdp": call.build_offer(), "call": facts},
            )
            fork = f"/api/v1/forks/{opened['id']}"
            sent = _send(call, opened["sdp"])
            status = _asked(client, "GET", fork)
            _asked(client, "DELETE", fork)
        if as_json:
            show_json({"id": opened["id"], "sent": sent, "streams": status["streams"]})
        else:
            say(f"Recorded as {opened['id']}: {sent} packets sent.")


def _configured() -> str:
    settings = config.load()
    scheme = "http" if settings.tls_for("forks")[0] is None else "https"
    return f"{scheme}://{settings.forks_listen}"


def _token(file: Path) -> str:
    if str(file) == "-":
        return sys.stdin.readline().strip()
    return read_secret(file).reveal().decode()


def _send(call: SimulatedCall, answer: str) -> int:
    columns = (TextColumn("Speaking"), BarColumn(), TimeRemainingColumn())
    with Progress(*columns, console=ERR) as bar:
        task = bar.add_task("call", total=call.duration_s)
        sent = call.send(answer, lambda done, _all: bar.update(task, completed=done))
        bar.update(task, completed=call.duration_s)
    return sum(party.packets for party in sent)


def _asked(
    client: httpx.Client, method: str, path: str, body: object = None
) -> dict[str, str]:
    try:
        answer = client.request(method, path, json=body)
    except (httpx.HTTPError, httpx.InvalidURL) as exc:
        raise UnavailableError(
            f"the fork API at {client.base_url}: {exc}.  Does callvault serve run, and "
            "listen there?  Name another address with --forks"
        ) from None
    if answer.is_success:
        return dict(answer.json()) if answer.content else {}
    try:
        detail = answer.json()["detail"]
    except (json.JSONDecodeError, KeyError, TypeError):
        detail = answer.reason_phrase
    raise UnavailableError(f"the fork API answered {answer.status_code}: {detail}")
