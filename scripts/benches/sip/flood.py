"""One bad device: INVITEs without end over UDP, from one address.

Standard input: one line of JSON, ``{"there", "address", "rate", "seconds", "name",
"token"}``; with a token each INVITE answers the challenge rightly.  Standard output:
``READY``; sends when a second line comes; then one line of JSON: INVITEs sent, how
many of those of the first seconds were answered by which status (100 left out), and
when the last of these had been sent: from then on its sender was not listened to.
"""

import json
import select
import socket
import sys
import time
from collections import Counter

from invites import Credentials, Dialog, status, value

_FIRST_S = 4.0
"Less than the cut-off lasts: what is answered later came in after it."
_TRYING = 100
_UNAUTHORIZED = 401


def _challenged(wire: socket.socket, told: dict[str, str], there: tuple[str, int]):  # noqa: ANN202 - a script
    wire.send(_dialog(wire, there).invite())
    wire.settimeout(10)
    while True:
        said = wire.recv(65536).decode("latin-1")
        if status(said) == _UNAUTHORIZED:
            return Credentials.of(told["name"], told["token"], said)


def _dialog(wire: socket.socket, there: tuple[str, int]) -> Dialog:
    return Dialog(transport="udp", here=wire.getsockname(), there=there)


def main() -> None:
    """Flood."""
    told = json.loads(sys.stdin.readline())
    there = tuple(told["there"])
    wire = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
    wire.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4 << 20)
    wire.bind((told["address"], 0))
    wire.connect(there)
    credentials = _challenged(wire, told, there) if told["token"] else None
    uri = _dialog(wire, there).uri
    count = int(told["rate"] * told["seconds"])
    print("READY", flush=True)
    sys.stdin.readline()
    sent: dict[str, float] = {}
    answers: dict[str, int] = {}
    start_s = time.monotonic()
    for number in range(count):
        due_s = start_s + number / told["rate"]
        _hear(wire, answers, due_s)
        dialog = _dialog(wire, there)
        sent[dialog.call_id] = time.monotonic() - start_s
        wire.send(dialog.invite(credentials.of_invite(uri) if credentials else ""))
    lasted_s = time.monotonic() - start_s
    _hear(wire, answers, time.monotonic() + 3)
    first = {one for one, when_s in sent.items() if when_s < _FIRST_S}
    heard = [sent[one] for one in first if one in answers]
    said = {
        "sent": count,
        "lasted_s": lasted_s,
        "sent_first": len(first),
        "cut_off_after_s": max(heard, default=0.0),
        "answered_first": dict(Counter(answers[one] for one in first & answers.keys())),
        "answered": dict(Counter(answers.values())),
    }
    print(json.dumps(said), flush=True)


def _hear(wire: socket.socket, answers: dict[str, int], until_s: float) -> None:
    """Take answers until *until_s*; at least what is there already."""
    while select.select([wire], [], [], max(0.0, until_s - time.monotonic()))[0]:
        try:
            said = wire.recv(65536).decode("latin-1")
        except OSError:
            continue
        if status(said) > _TRYING:
            answers.setdefault(value(said, "Call-ID"), status(said))
        if time.monotonic() >= until_s:
            return


if __name__ == "__main__":
    main()
