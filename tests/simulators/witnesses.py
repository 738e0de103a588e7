"""Witnesses in the same process, and the notes of small logs for them to judge.

`Near` takes the place of HTTP: it hands a body to the witness's own application.
"""

from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Final

import httpx

from tests.simulators.asgi import AsgiTransport
from tests.simulators.trail import ORIGIN, signer
from vault.audit import tree
from vault.audit.checkpoint import Checkpoint, Verifier
from vault.audit.cosignature import CosignatureSigner
from vault.audit.submission import Submission
from vault.auditor.asking import Answer
from vault.core.errors import UnavailableError
from vault.core.secrets import SecretBytes
from vault.witness.app import witness_app
from vault.witness.judging import Witness, by_origin
from vault.witness.memory import Memory

NOW_S: Final = 1_795_414_569
NAME: Final = "witness.example/w1"


def cosigner(number: int = 1) -> CosignatureSigner:
    """Return a key that is known to everybody."""
    return CosignatureSigner.from_seed(
        name=f"witness.example/w{number}", seed=SecretBytes(bytes([number]) * 32)
    )


def witness(folder: Path, *logs: Verifier, number: int = 1) -> Witness:
    """Return a witness that remembers in *folder*."""
    folder.mkdir(exist_ok=True)
    return Witness(
        logs=by_origin(logs or (signer().verifier,)),
        signer=cosigner(number),
        memory=Memory(folder),
        clock=lambda: NOW_S * 1_000_000_000,
    )


class Leaves:
    """A log as a list of leaf hashes; *fork* makes those from there on others."""

    def __init__(self, count: int = 40, *, fork: int | None = None) -> None:
        self._edge = tree.Edge()
        self._nodes: dict[tree.NodeId, bytes] = {}
        self._hashes: list[bytes] = []
        for number in range(count):
            other = fork is not None and number >= fork
            leaf = tree.leaf_hash(bytes([number, other]))
            self._hashes.append(leaf)
            self._nodes.update(self._edge.append(leaf))

    def checkpoint(self, size: int) -> Checkpoint:
        root = tree.root(self._hashes[:size])
        return Checkpoint(origin=ORIGIN, size=size, root=root)

    def note(self, size: int) -> str:
        return signer().sign_checkpoint(self.checkpoint(size))

    def submission(self, old: int, new: int) -> Submission:
        proof: list[bytes] = []
        if 0 < old < new:
            read = lambda wanted: {one: self._nodes[one] for one in wanted}  # noqa: E731 - as short as what it is passed to
            proof = tree.consistency_proof(old, new, read)
        return Submission(old_size=old, proof=tuple(proof), note=self.note(new))


@dataclass
class Near:
    """Implements `vault.auditor.witnessing.Posting` without a socket."""

    witnesses: dict[str, Witness]
    "By the host of their URL."
    change: Callable[[httpx.Response], httpx.Response] = lambda answer: answer
    away: set[str] = field(default_factory=set)
    bodies: list[bytes] = field(default_factory=list)

    def post(self, url: str, body: bytes, *, media_type: str) -> Answer:
        host = httpx.URL(url).host
        self.bodies.append(body)
        if host in self.away:
            raise UnavailableError("it is out of reach")
        app = witness_app(self.witnesses[host])
        with httpx.Client(transport=AsgiTransport(app)) as client:
            answer = self.change(
                client.post(url, content=body, headers={"content-type": media_type})
            )
        return Answer(
            status=answer.status_code,
            media_type=answer.headers.get("content-type", "").partition(";")[0],
            body=answer.content,
        )
