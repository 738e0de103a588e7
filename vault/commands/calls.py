"""``simulate``: a call on its way in, by the fork API or by SIPREC."""

import json
import ssl
import sys
import uuid
from http import HTTPStatus
from pathlib import Path
from typing import Annotated, Any, TypeAlias

import httpx
import typer
from rich.progress import BarColumn, Progress, TextColumn, TimeRemainingColumn

from vault import config
from vault.commands.output import ERR, AsJson, failures, say, show_json
from vault.config import read_secret
from vault.core.errors import InvalidInputError, UnavailableError
from vault.core.media import SrtpSuite
from vault.core.secrets import SecretBytes
from vault.siprec.simulate import RecordingClient, Target
from vault.siprec.simulated_bodies import Speaker, metadata_of
from vault.tap.simulate import LABELS, SimulatedCall

_TIMEOUT_S = 15.0


_Forks: TypeAlias = Annotated[
    str,
    typer.Option(
        help="Address of the fork API.", show_default="that of this installation"
    ),
]
_Siprec: TypeAlias = Annotated[
    str,
    typer.Option(
        metavar="[udp:|tcp:|tls:]ADDRESS:PORT",
        help="Speak SIPREC to this recorder, instead of the fork API.",
    ),
]
_Device: TypeAlias = Annotated[
    str, typer.Option(help="Name of the device whose token it is, for SIPREC.")
]
_TlsCa: TypeAlias = Annotated[
    Path | None,
    typer.Option(help="Whom to trust beside the system's, for SIPREC over TLS."),
]
_TokenFile: TypeAlias = Annotated[
    Path, typer.Option(help="File with the device's token; - for standard input.")
]
_Suite: TypeAlias = Annotated[
    SrtpSuite, typer.Option(help="SRTP suite, or PLAIN_RTP for none.")
]
_Mki: TypeAlias = Annotated[
    int, typer.Option(min=0, max=128, help="Octets of the MKI in each packet.")
]
_Codec: TypeAlias = Annotated[
    list[str] | None,
    typer.Option(
        help="PCMU or PCMA; twice for agent and customer.", show_default="PCMU"
    ),
]
_Seconds: TypeAlias = Annotated[
    float | None,
    typer.Option(
        min=0.1,
        max=86_400,
        help="Length; the conversation repeats.",
        show_default="the conversation's 20 s",
    ),
]
_Agent: TypeAlias = Annotated[str, typer.Option(help="Who takes the call.")]
_Workgroup: TypeAlias = Annotated[str, typer.Option(help="Whose call it is.")]
_Caller: TypeAlias = Annotated[str, typer.Option(help="Calling number.")]
_Callee: TypeAlias = Annotated[str, typer.Option(help="Called number.")]
_Direction: TypeAlias = Annotated[
    str, typer.Option(help="inbound, outbound or internal.")
]


def simulate(
    *,
    token_file: _TokenFile,
    forks: _Forks = "",
    siprec: _Siprec = "",
    device: _Device = "",
    tls_ca: _TlsCa = None,
    suite: _Suite = SrtpSuite.AES_CM_128_HMAC_SHA1_80,
    mki: _Mki = 0,
    codec: _Codec = None,
    seconds: _Seconds = None,
    agent: _Agent = "ada",
    workgroup: _Workgroup = "",
    caller: _Caller = "+442079460123",
    callee: _Callee = "+442079460100",
    direction: _Direction = "inbound",
    as_json: AsJson = False,
) -> None:
    """Be a PBX: place one real call with two speaking parties."""
    with failures():
        call = _call_of(suite, codec or ["PCMU"], seconds, mki)
        token = _token(token_file)
        if siprec:
            if workgroup:
                raise InvalidInputError(
                    "SIPREC names no workgroup: callvault extension add "
                    f"{callee} --workgroup {workgroup} says whose calls these are"
                )
            with _recording_client(siprec, device, token, tls_ca) as client:
                result = _by_siprec(
                    client, call, agent=agent, caller=caller, callee=callee
                )
        else:
            facts = {
                # As a PBX has it: no two calls have one.
                "id": f"simulated-{uuid.uuid4()}",
                "agent": agent,
                "workgroup": workgroup,
                "caller": caller,
                "callee": callee,
                "direction": direction,
            }
            result = _by_forks(forks or _configured(), token, call, facts)
        if as_json:
            show_json(result)
        else:
            what = result.get("id") or f"a call with the Call-ID {result['call_id']}"
            say(f"Recorded as {what}: {result['sent']} packets sent.")


def _call_of(
    suite: SrtpSuite, codecs: list[str], seconds: float | None, mki: int
) -> SimulatedCall:
    encodings = (codecs[0], codecs[-1])
    if not set(encodings) <= {"PCMU", "PCMA"}:
        raise InvalidInputError("--codec takes PCMU or PCMA")
    if mki and suite.is_plain:
        raise InvalidInputError("--mki names a key, and PLAIN_RTP has none")
    return SimulatedCall(
        suite=suite, encodings=encodings, seconds=seconds, mki_size_bytes=mki
    )


def _by_forks(
    address: str, token: str, call: SimulatedCall, facts: dict[str, str]
) -> dict[str, Any]:
    with httpx.Client(
        base_url=address,
        headers={"Authorization": f"Bearer {token}"},
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
    return {"id": opened["id"], "sent": sent, "streams": status["streams"]}


def _recording_client(
    target: str, device: str, token: str, tls_ca: Path | None
) -> RecordingClient:
    if not device:
        raise InvalidInputError("--siprec needs --device: whose token it is")
    trusted = ssl.create_default_context()
    if tls_ca is not None:
        try:
            trusted.load_verify_locations(tls_ca)
        except OSError as exc:
            raise InvalidInputError(f"{tls_ca}: {exc.strerror or exc}") from None
    return RecordingClient(
        Target.parse(target),
        username=device,
        password=SecretBytes(token.encode()),
        tls=trusted,
        within_s=_TIMEOUT_S,
    )


def _by_siprec(
    client: RecordingClient,
    call: SimulatedCall,
    *,
    agent: str,
    caller: str,
    callee: str,
) -> dict[str, Any]:
    speakers = (
        Speaker(label=LABELS[1], aor=f"tel:{caller}"),
        Speaker(label=LABELS[0], aor=f"sip:{callee}@{client.host}", name=agent),
    )
    answer = client.invite(call.build_offer(), metadata_of(speakers))
    if not answer.body:
        cause = answer.headers.get("Warning") or answer.reason
        if answer.status == HTTPStatus.UNAUTHORIZED:
            cause += "; name or token is wrong (callvault device list, device renew)"
        raise UnavailableError(f"the recorder answered {answer.status}: {cause}")
    sent = _send(call, answer.body.decode())
    client.bye()
    return {"call_id": client.call_id, "sent": sent}


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
