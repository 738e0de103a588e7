"""Opening an envelope: the one place where a data key comes back.

Guarantees: a data key is returned only for the recording that it was wrapped
for; a provider that opens a key under another context is a broken provider.

Left to others: who may ask, and the leaf that must be durable first
(`vault.warden`, the only room that may import this module); where private
keys rest (`vault.sealing.keyring`).

Spec: docs/reference/formats/envelope.md
"""

from vault.core.errors import KeyUnavailableError, SealBrokenError
from vault.core.ids import RecordingId
from vault.core.secrets import SecretBytes
from vault.sealing.envelope import DEK_SIZE, Envelope, wrap_info
from vault.sealing.interfaces import PrivateKeys


def unwrap(
    envelope: Envelope, recording_id: RecordingId, private_keys: PrivateKeys
) -> SecretBytes:
    """Return the data key of *recording_id*.

    The caller has done, before: (1) decided that the asker may have it; (2) made
    the leaf durable; (3) fetched the envelope by *recording_id*.

    Raises:
        SealBrokenError: The envelope is another recording's, or no entry that
            we hold a key for opens.
        KeyUnavailableError: We hold no key for any of its entries, or it
            cannot be used now.
    """
    # 4. The envelope says what it was asked for.  Its own word only names the
    #    fault early: step 5 binds the id that we asked for, not this one.
    if envelope.recording_id != recording_id:
        raise SealBrokenError(f"{recording_id}: the envelope is another recording's")
    # 5. Some entry opens.  One damaged entry does not stop the others, since
    #    anyone who can alter an entry could have deleted it.
    broken = False
    for wrapped in envelope.recipients:
        try:
            dek = private_keys.open(wrapped, wrap_info(recording_id, wrapped.kid))
        except KeyUnavailableError:
            continue
        except SealBrokenError:
            broken = True
            continue
        # 6. It is a data key by its size.
        if len(dek) != DEK_SIZE:
            raise SealBrokenError(f"{recording_id}: not a data key")
        return dek
    if broken:
        raise SealBrokenError(f"{recording_id}: the envelope does not open")
    raise KeyUnavailableError(f"{recording_id}: no key here opens the envelope")
