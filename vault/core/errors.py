"""What can go wrong, sorted by what the catcher can do about it.

* VaultError
  + InvalidInputError          a peer sent nonsense: drop it, count it, name it
    - MalformedPacketError
    - MalformedSignallingError     SDP that is not SDP
    - UnsupportedOfferError        sound SDP that asks for what we refuse
    - RangeNotSatisfiableError
    - ConfigurationError           the operator wrote it: stop at start
  + NotAuthenticatedError      no credential, or a bad one
    - IdentityRefusedError         what another server says of somebody does not hold
    - SessionLockedError           a good one: prove again who you are
    - FactorRefusedError           a wrong second factor; reads like its parent
  + AccessDeniedError          say no, and write it to the audit trail
    - PasswordChangeRequiredError  signed in, and the password must change first
    - SecondFactorRequiredError    signed in by half: a factor is still missing
    - StepUpRequiredError          right, but the last proof is too old
    - ApprovalRequiredError        a second person has to say yes first
    - ReasonRequiredError
  + NotFoundError              missing, or outside the asker's scope: same answer
  + ConflictError              the request contradicts a recorded fact
    - NotReadyError                ask again later
    - NoMediaError                 there never was any, and never will be
    - RetentionHoldError
    - SameHandsError               who agrees could be who asked
  + GoneError                  shredded: it was here and is not any more
  + ThrottledError             too often: ask again later
  + IntegrityError             octets changed after we sealed them: never retry
    - SealBrokenError
    - RecordingTruncatedError
    - TrailBrokenError
  + UnavailableError           a dependency is down: the same call may work later
    - SpoolFullError
    - NoRecipientKeyError
    - AuditUnavailableError
    - KeyUnavailableError
    - StoreUnavailableError
    - DatabaseUnavailableError

Calling things in the wrong order is a bug in the vault, not one of these: it
raises ``RuntimeError``, ``TypeError`` or ``ValueError`` and is left to end the
task.  Messages carry ids and sizes, never media, keys, phone numbers or
passwords: they reach logs and answers.
"""


class VaultError(Exception):
    """Anything that a caller of the vault is expected to handle."""


class InvalidInputError(VaultError):
    """A peer sent something that is not what it should be."""

    def __init__(self, message: str, *, line: int | None = None) -> None:
        """Say what is wrong and, for line-based input, on which line (from 1)."""
        super().__init__(message)
        self.line = line


class MalformedPacketError(InvalidInputError):
    """Octets from the network that are not the packet they claim to be."""


class MalformedSignallingError(InvalidInputError):
    """SDP or SIP that does not parse; ``line`` counts from 1."""


class UnsupportedOfferError(InvalidInputError):
    """A sound offer that asks for a suite or transport we refuse."""


class RangeNotSatisfiableError(InvalidInputError):
    """A ``Range`` that selects no octet of the media."""

    def __init__(self, message: str, *, size: int) -> None:
        """Remember the *size* in octets, which the 416 answer must state."""
        super().__init__(message)
        self.size = size


class ConfigurationError(InvalidInputError):
    """A setting is missing, unknown or contradicts another one."""


class NotAuthenticatedError(VaultError):
    """No credential, or one that proves nothing."""


class SessionLockedError(NotAuthenticatedError):
    """The session was idle for too long: its owner proves again who they are."""


class FactorRefusedError(NotAuthenticatedError):
    """A wrong second factor of somebody who is known.

    It has the words and the status of its parent: only the trail tells them apart.
    """

    def __init__(self, message: str, *, user_id: str, reason: str) -> None:
        """Remember whose factor it was, and in a slug what was wrong."""
        super().__init__(message)
        self.user_id = user_id
        self.reason = reason


class IdentityRefusedError(NotAuthenticatedError):
    """What a provider of identities says of somebody does not hold."""

    def __init__(self, message: str, *, reason: str) -> None:
        """Remember the *reason*: a slug, for the trail and nobody else."""
        super().__init__(message)
        self.reason = reason


class AccessDeniedError(VaultError):
    """A known actor asked for what no right of theirs covers."""


class PasswordChangeRequiredError(AccessDeniedError):
    """Nothing works before the person has taken another password."""


class SecondFactorRequiredError(AccessDeniedError):
    """A role asks for a second factor, and this session was opened without one."""


class StepUpRequiredError(AccessDeniedError):
    """The right is there, and the last proof of who asks is too old for it."""


class ApprovalRequiredError(AccessDeniedError):
    """The class of the recording asks for a second person, and none has agreed."""


class ReasonRequiredError(AccessDeniedError):
    """The class of the recording asks for a reason, and none was given."""


class NotFoundError(VaultError):
    """Nothing under this name that the asker may know of."""


class ConflictError(VaultError):
    """The request contradicts a recorded fact."""


class SameHandsError(ConflictError):
    """Who agrees could be who asked, or came in as them."""


class NotReadyError(ConflictError):
    """What was asked for is still being made."""

    def __init__(self, message: str, *, retry_after_s: int = 2) -> None:
        """Suggest a time to ask again, in whole seconds."""
        super().__init__(message)
        self.retry_after_s = retry_after_s


class NoMediaError(ConflictError):
    """The recording ended without anything that can be played."""


class RetentionHoldError(ConflictError):
    """A legal hold forbids it."""


class GoneError(VaultError):
    """The recording was shredded; its keys no longer exist."""


class ThrottledError(VaultError):
    """This actor or address asked too often."""

    def __init__(self, message: str, *, retry_after_s: int = 60) -> None:
        """Suggest a time to ask again, in whole seconds."""
        super().__init__(message)
        self.retry_after_s = retry_after_s


class IntegrityError(VaultError):
    """Octets are not the ones that were sealed or signed."""


class SealBrokenError(IntegrityError):
    """A chunk, an envelope or a signature does not verify."""


class RecordingTruncatedError(IntegrityError):
    """The end of a sealed object is missing."""


class TrailBrokenError(IntegrityError):
    """The audit trail contradicts itself or an older checkpoint."""


class UnavailableError(VaultError):
    """A dependency cannot serve now; nothing was changed."""

    def __init__(self, message: str, *, retry_after_s: int = 5) -> None:
        """Suggest a time to ask again, in whole seconds."""
        super().__init__(message)
        self.retry_after_s = retry_after_s


class SpoolFullError(UnavailableError):
    """No room, descriptors or ports for one more call."""


class NoRecipientKeyError(UnavailableError):
    """There is no valid public key to wrap a data key for."""


class AuditUnavailableError(UnavailableError):
    """The trail could not be written in time, so nothing may be released."""


class KeyUnavailableError(UnavailableError):
    """The key that opens this envelope cannot be used now."""


class StoreUnavailableError(UnavailableError):
    """The object store did not answer, or answered with an error."""


class DatabaseUnavailableError(UnavailableError):
    """The database did not answer, or answered with an error."""
