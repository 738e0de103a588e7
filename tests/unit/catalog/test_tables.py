"""The roster of columns: what the database may know about a call in plaintext."""

from vault.catalog.tables import METADATA

# A column that is added has to be argued for here, and in
# docs/reference/formats/catalog.md.
ROSTER = {
    "recording": {
        "seq": "order of arrival",
        "id": "random",
        "state": "state",
        "reason": "slug of the vault",
        "held": "state",
        "device_id": "random",
        "workgroup_id": "pseudonymous, scopes access",
        "day": "the day of the start, no time",
        "kid": "key id",
        "agent_id": "pseudonymous, scopes access",
        "class_name": "slug of the administrator, scopes access",
        "size_bytes": "size",
        "duration_ms": "follows from the size",
        "manifest_sha256": "digest",
        "how": "slug of the vault",
        "held_since_ns": "moment of an act of a person",
        "held_by": "random",
        "streams": "counters, labels of the vault's own vocabulary",
        "has_screen": "kind of object",
        "worker": "lease",
        "lease_until_ns": "lease",
        "attempts": "lease",
    },
    "envelope": {"recording_id": "random", "octets": "wrapped keys"},
    "stored_object": {
        "recording_id": "random",
        "name": "kind and revision",
        "size": "size",
        "sha256": "digest of ciphertext",
        "media_type": "closed set",
        "is_current": "revision",
    },
    "wanted_format": {"recording_id": "random", "media_type": "closed set"},
    "sealed_row": {
        "recording_id": "random",
        "sealed": "ciphertext",
        "wrapped_key": "ciphertext",
        "key_id": "key id",
    },
    "index_token": {
        "recording_id": "random",
        "field": "closed set",
        "month": "epoch of the day",
        "token": "keyed and truncated",
    },
}


def test_no_column_is_outside_the_roster() -> None:
    actual = {
        name: {column.name for column in table.columns}
        for name, table in METADATA.tables.items()
    }

    assert {name: set(columns) for name, columns in ROSTER.items()} == actual
