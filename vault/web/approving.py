"""Approvals for those who ask and those who decide.

Guarantees:
    * Who lacks the right to decide over that very recording, or over changes, gets the
      answer of one that is not there; so does whoever asked.
    * Each step is on the trail before it counts, a refusal too.
    * What who asked typed is read by those who may decide over it while it waits, and
      by nobody else; who asked knows it.

Left to others: what is kept (`vault.access.approvals`), making a change that is
approved (`vault.access.second_person`), HTTP.

Spec: docs/reference/permissions.md
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from functools import cached_property
from typing import Any, Final

from vault.access.activations import HalfCode
from vault.access.approvals import MAX_LISTED, Approval, ApprovalKind, NewApproval
from vault.access.changes import Done
from vault.access.permissions import RIGHT_FOR, Permission
from vault.access.policy import decide
from vault.access.reasons import checked_reason
from vault.access.second_person import Asked
from vault.access.workgroups import Workgroup
from vault.audit.entry import Action, Draft
from vault.catalog.values import RecordingRow
from vault.core.clock import rfc3339
from vault.core.errors import (
    ConflictError,
    KeyUnavailableError,
    NotFoundError,
    SameHandsError,
    SealBrokenError,
)
from vault.core.flow import MediaPart
from vault.core.ids import RecordingId, UserId
from vault.sealing.metadata import SessionMetadata
from vault.trust.interfaces import MAX_ROWS
from vault.web.administration import approval_detail, change_draft
from vault.web.change_words import ChangeWords
from vault.web.identity import Asker, log_refusal
from vault.web.services import Services

_DECIDES: Final = {
    ApprovalKind.PLAY: Permission.RECORDING_APPROVAL_DECIDE,
    ApprovalKind.ACCESS: Permission.ACCESS_POLICY_APPROVE,
}
_MS_PER_S: Final = 1000


@dataclass(frozen=True, slots=True, kw_only=True)
class ApprovalList:
    """What one person sees of them, as the API shows it."""

    items: Sequence[dict[str, object]]
    not_listed: int
    "How many more wait for them behind those."


class ApprovalDesk:
    """Serves approvals to one asker."""

    def __init__(self, services: Services, asker: Asker) -> None:
        self._services = services
        self._asker = asker
        self._me = asker.session.user_id

    @cached_property
    def _groups(self) -> Sequence[Workgroup]:
        return self._services.workgroups.list()

    @cached_property
    def _words(self) -> ChangeWords:
        return ChangeWords(self._services)

    def ask(
        self, recording_id: RecordingId, part: MediaPart, *, reason: str
    ) -> Approval:
        """Ask for somebody to agree that the asker plays one part of a recording.

        Raises:
            InvalidInputError: The reason is none.
            NotFoundError: Missing, outside the scope, or the right is missing.
            NotReadyError: There is nothing to play yet.
            NoMediaError: There is nothing to play and never will be.
            GoneError: It has expired or was shredded.
            ConflictError: Nobody has to agree, or it was asked for already.
            AuditUnavailableError: The leaf is not durable: nothing waits.
        """
        said = checked_reason(reason)
        right = RIGHT_FOR[part]
        try:
            row = self._services.recordings.get(
                self._asker.scope_for(right), recording_id
            )
        except NotFoundError:
            self._log_refusal(right, recording_id)
            raise
        decide(self._asker.session, part, row, now_ns=self._services.clock())
        duties = self._services.duties
        if not duties.classes.demands_on(row).approval:
            raise ConflictError("nobody has to agree to that")
        return duties.approvals.ask(
            NewApproval(
                kind=ApprovalKind.PLAY,
                requester_id=self._me,
                permission=right,
                recording_id=recording_id,
                reason=said,
            ),
            tell=lambda asked: self._tell(
                Action.ACCESS_APPROVAL_REQUESTED, asked, {"reason": said}
            ),
        )

    def list(self) -> "ApprovalList":
        """Return what the asker asked for, and what they may decide.

        Raises:
            AuditUnavailableError: The leaf about calls that are shown is not durable.
        """
        approvals = self._services.duties.approvals
        own = approvals.of(self._me)
        waiting = self._decidable(
            [one for one in approvals.pending() if one.asked.requester_id != self._me]
        )
        shown = (*own, *waiting[:MAX_LISTED])
        rows = self._rows(shown)
        started = self._started(waiting[:MAX_LISTED])
        return ApprovalList(
            items=[self._shown(one, rows, started) for one in shown],
            not_listed=max(0, len(waiting) - MAX_LISTED),
        )

    def decide(
        self, approval_id: str, *, approve: bool, reason: str = ""
    ) -> HalfCode | None:
        """Say yes or no; a change that is agreed to is made.

        Returns:
            What whoever agreed hands over, where the change has made such a thing.

        Raises:
            NotFoundError: Missing, the asker's own, or theirs to know nothing of.
            ConflictError: It was decided already, or can't be made any more.
            AuditUnavailableError: The leaf is not durable: nothing was decided.
        """
        found = self._services.duties.approvals.get(approval_id)
        # 1. Whether the asker may decide this one; if not, there is none.
        if found.asked.requester_id == self._me or not self._decidable([found]):
            self._log_refused(found)
            raise NotFoundError("no such approval")
        # 2. Whether they are somebody else for sure.
        try:
            return self._decided(found, approve=approve, reason=reason)
        except SameHandsError:
            self._log_refused(found, reason="same-hands")
            raise

    def _decided(
        self, found: Approval, *, approve: bool, reason: str
    ) -> HalfCode | None:
        duties = self._services.duties
        # 1. A yes to a change makes it, in the transaction of the yes.
        text = {"reason": reason.strip()} if reason.strip() else {}
        if approve and found.asked.kind is ApprovalKind.ACCESS:
            done = duties.second_person.approve(
                found.id,
                by=self._me,
                tell=lambda asked, done: self._tell_made(asked, done, text),
            )
            return done.value if isinstance(done.value, HalfCode) else None
        # 2. Everything else is kept.
        action = (
            Action.ACCESS_APPROVAL_APPROVED
            if approve
            else Action.ACCESS_APPROVAL_REFUSED
        )
        duties.approvals.decide(
            found.id,
            by=self._me,
            approve=approve,
            tell=lambda decided: self._tell(action, decided, text),
        )
        return None

    def members(self, approval: Approval) -> dict[str, object]:
        """Return one as the API shows it to who asked."""
        return self._shown(approval, self._rows([approval]), {})

    def _shown(
        self,
        approval: Approval,
        rows: Mapping[RecordingId, RecordingRow],
        started: Mapping[RecordingId, str],
    ) -> dict[str, object]:
        asked = approval.asked
        is_own = asked.requester_id == self._me
        found: dict[str, object] = {
            "id": approval.id,
            "kind": str(asked.kind),
            "state": str(approval.state),
            "permission": str(asked.permission),
            "requester": {
                "id": asked.requester_id,
                "name": self._name(asked.requester_id),
            },
            "own": is_own,
            "created": rfc3339(approval.created_ns),
            "expires": rfc3339(approval.expires_ns),
        }
        if asked.recording_id is not None:
            found["recording"] = asked.recording_id
            if row := rows.get(asked.recording_id):
                found["call"] = self._call(row, started.get(row.id, ""))
        # Whoever is not to decide it learns no words of others.
        if not is_own and (reason := self._services.duties.approvals.reason(approval)):
            found["reason"] = reason
        if asked.kind is ApprovalKind.ACCESS:
            found |= self._change(approval)
        return found

    def _call(self, row: RecordingRow, started: str) -> dict[str, object]:
        """Return what of a call decides whether somebody may hear it: no names."""
        group = next(
            (one for one in self._groups if one.id == row.workgroup_id),
            None,
        )
        found: dict[str, object] = {"day": row.day}
        if started:
            found["started"] = started
        if row.duration_ms is not None:
            found["duration_s"] = row.duration_ms / _MS_PER_S
        if group is not None:
            found["workgroup"] = group.name
        if name := row.class_name or (group.class_name if group else ""):
            found["class"] = name
        return found

    def _rows(
        self, approvals: Sequence[Approval]
    ) -> Mapping[RecordingId, RecordingRow]:
        """Return the recordings asked about that the asker may decide over, or play."""
        found: dict[RecordingId, RecordingRow] = {}
        by_right: dict[Permission, set[RecordingId]] = {}
        for one in approvals:
            if one.asked.recording_id is not None:
                is_own = one.asked.requester_id == self._me
                right = one.asked.permission if is_own else _DECIDES[one.asked.kind]
                by_right.setdefault(right, set()).add(one.asked.recording_id)
        for right, ids in by_right.items():
            scope = self._asker.scope_for(right)
            found |= self._services.recordings.among(scope, ids)
        return found

    def _started(self, waiting: Sequence[Approval]) -> Mapping[RecordingId, str]:
        """Return when calls began: that is sealed, and opening it is a leaf.

        What does not open is left out: the day stands in the clear.
        """
        ids = [one.asked.recording_id for one in waiting if one.asked.recording_id]
        if not ids:
            return {}
        try:
            opened = self._services.warden.open_rows(self._asker.caller, ids[:MAX_ROWS])
        except (SealBrokenError, KeyUnavailableError):
            # Asked for alone: the trail knows of the damage already, and whoever
            # decides, or ends an emergency beside it, goes on.
            return {}
        return {id: SessionMetadata.parse(row).started for id, row in opened.items()}

    def _change(self, approval: Approval) -> dict[str, object]:
        try:
            asked = self._services.duties.second_person.asked(approval)
        except ConflictError:
            return {}  # of a version that knew more: it can only be refused
        members = asked.change.members()
        return {
            "change": {"kind": asked.change.kind, **members},
            "names": self._names_in(members),
            "gains": sorted(map(str, asked.gains)),
            "words": self._lines(approval, asked),
        }

    def _lines(self, approval: Approval, asked: Asked) -> Sequence[dict[str, str]]:
        lines = self._words.lines(asked.change)
        # How others stand now is for who decides: whoever asked may not see people.
        if approval.asked.requester_id == self._me:
            lines = tuple(replace(one, before="") for one in lines)
        return [one.members() for one in lines]

    def _names_in(self, members: Mapping[str, str]) -> dict[str, str]:
        """Return names of the people and workgroups whose ids are in *members*."""
        words = {word for text in members.values() for word in text.split()}
        known: dict[str, str] = {str(one.id): one.name for one in self._groups}
        known |= {str(id): n for id, n in self._services.people.names().items()}
        return {word: known[word] for word in sorted(words) if word in known}

    def _decidable(self, approvals: Sequence[Approval]) -> Sequence[Approval]:
        """Return those of *approvals* that the asker may decide, by their rights."""
        may = {kind for kind, right in _DECIDES.items() if self._asker.may(right)}
        mine = [one for one in approvals if one.asked.kind in may]
        rows = self._rows(mine)
        return [
            one
            for one in mine
            if one.asked.recording_id is None or one.asked.recording_id in rows
        ]

    def _name(self, user_id: UserId) -> str:
        return self._services.people.by_id(user_id).name

    def _tell(self, action: Action, approval: Approval, text: dict[str, str]) -> None:
        asked = approval.asked
        detail: dict[str, str | int] = {
            "approval": approval.id,
            "kind": str(asked.kind),
            "user": asked.requester_id,
        }
        is_own = action is Action.ACCESS_APPROVAL_REQUESTED
        if not is_own:
            detail["permission"] = str(asked.permission)
        self._services.warden.append(
            Draft(
                action=action,
                caller=self._asker.caller,
                recording=asked.recording_id or "",
                right=str(asked.permission if is_own else _DECIDES[asked.kind]),
                detail=detail,
                text=text,
            )
        )

    def _tell_made(self, asked: Asked, done: Done[Any], text: dict[str, str]) -> None:
        self._services.warden.append(
            Draft(
                action=Action.ACCESS_APPROVAL_APPROVED,
                caller=self._asker.caller,
                recording=done.recording,
                right=Permission.ACCESS_POLICY_APPROVE,
                detail=approval_detail(asked),
                text=text,
            ),
            change_draft(self._asker, asked.change, done, approval=asked.approval.id),
        )

    def _log_refusal(self, right: Permission, recording: str) -> None:
        log_refusal(
            self._services.warden, self._asker, right=right, recording=recording
        )

    def _log_refused(self, found: Approval, *, reason: str = "") -> None:
        asked = found.asked
        log_refusal(
            self._services.warden,
            self._asker,
            right=_DECIDES[asked.kind],
            recording=asked.recording_id or "",
            reason=reason,
            detail={
                "approval": found.id,
                "kind": str(asked.kind),
                "user": asked.requester_id,
            },
        )
