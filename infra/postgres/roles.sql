-- Roles of a split installation: what each process may touch, enforced by PostgreSQL.
--
-- Import contracts are hygiene; this is the boundary.  What is not granted here is
-- denied, also to tables that a later version adds: run this file again after every
-- upgrade.  Running it again changes nothing else.
--
--   psql -v ON_ERROR_STOP=1 -d callvault -f roles.sql
--
-- Run it as the owner of the schemas `catalog` and `audit` (the role under which
-- `callvault init` ran), which needs CREATEROLE the first time.  That role is for
-- `init`, for upgrades and for administrative commands; no process runs as it.
-- Passwords, or peer and certificate mappings, are set apart from this file:
-- docs/howto/install-systemd.md.
--
-- tests/system/test_infra_postgres_roles.py runs every process's own functions
-- under these roles, and checks what they are denied.

DO $$
DECLARE
    name text;
BEGIN
    FOREACH name IN ARRAY ARRAY[
        'callvault_warden', 'callvault_tap', 'callvault_worker', 'callvault_web']
    LOOP
        IF NOT EXISTS (SELECT FROM pg_roles WHERE rolname = name) THEN
            EXECUTE format('CREATE ROLE %I LOGIN NOINHERIT', name);
        END IF;
        -- What an earlier version of this file granted and this one does not.
        EXECUTE format('REVOKE ALL ON ALL TABLES IN SCHEMA catalog, audit FROM %I', name);
        EXECUTE format('REVOKE ALL ON ALL SEQUENCES IN SCHEMA catalog, audit FROM %I', name);
        EXECUTE format('REVOKE ALL ON SCHEMA catalog, audit FROM %I', name);
    END LOOP;
END
$$;

REVOKE ALL ON ALL TABLES IN SCHEMA catalog, audit FROM PUBLIC;
REVOKE ALL ON SCHEMA catalog, audit FROM PUBLIC;

GRANT USAGE ON SCHEMA catalog
    TO callvault_warden, callvault_tap, callvault_worker, callvault_web;
GRANT USAGE ON SCHEMA audit TO callvault_warden;

-- Every process looks whether the schema is the one it was written for.
GRANT SELECT ON catalog.schema_version
    TO callvault_warden, callvault_tap, callvault_worker, callvault_web;
GRANT SELECT ON audit.schema_version TO callvault_warden;


-- The trail.  Only the warden writes, and what it wrote it can't rewrite: it may
-- add entries, move the head (a trigger lets it only grow), and erase free text
-- beside the log.  Whoever else reads it asks the warden (ADR 16).

GRANT SELECT, INSERT ON audit.log_entry, audit.log_object, audit.log_node,
                        audit.log_checkpoint
    TO callvault_warden;
GRANT SELECT, UPDATE (size, root) ON audit.log_head TO callvault_warden;
GRANT SELECT, INSERT, DELETE ON audit.log_text TO callvault_warden;
GRANT SELECT, UPDATE (time_ns) ON audit.log_probe TO callvault_warden;


-- The warden reads what it opens: envelopes and sealed rows.

GRANT SELECT ON catalog.envelope, catalog.sealed_row TO callvault_warden;


-- The tap tells that a call started and that it is stored.  It never reads an
-- envelope back, and of people it knows names and ids, to tell whose call it is.

GRANT SELECT ON catalog.recording TO callvault_tap;
GRANT INSERT (id, state, device_id, workgroup_id, agent_id, day, kid)
    ON catalog.recording TO callvault_tap;
GRANT UPDATE (state, device_id, workgroup_id, agent_id, day, kid, size_bytes,
              manifest_sha256, how, streams) ON catalog.recording TO callvault_tap;
GRANT USAGE ON SEQUENCE catalog.recording_seq_seq TO callvault_tap;
GRANT INSERT ON catalog.envelope TO callvault_tap;
GRANT SELECT, INSERT, UPDATE (is_current) ON catalog.stored_object TO callvault_tap;
-- What a device answers SIP challenges with is the tap's alone to know.
GRANT SELECT ON catalog.device, catalog.device_digest, catalog.extension,
                catalog.workgroup, catalog.address_rule
    TO callvault_tap;
GRANT SELECT (id, name_key) ON catalog.person TO callvault_tap;
-- When it last heard each device, once a minute.
GRANT UPDATE (used_ns) ON catalog.device TO callvault_tap;


-- The worker claims recordings and writes down what it made.  It asks the warden
-- for keys, one recording at a time, and knows nothing of people.

GRANT SELECT ON catalog.recording TO callvault_worker;
GRANT UPDATE (state, reason, streams, duration_ms, has_screen, worker,
              lease_until_ns, attempts) ON catalog.recording TO callvault_worker;
GRANT SELECT, INSERT, UPDATE (is_current) ON catalog.stored_object TO callvault_worker;
-- Who hands in late keys on its machine asks it to make a recording anew.
GRANT SELECT, INSERT, DELETE ON catalog.wanted_format TO callvault_worker;
-- It claims only what has an envelope: that there is one, not what is in it.
GRANT SELECT (recording_id) ON catalog.envelope TO callvault_worker;
-- It replaces a row and its tokens, and needs to find the old ones, not to read them.
GRANT SELECT (recording_id), INSERT, DELETE ON catalog.sealed_row, catalog.index_token
    TO callvault_worker;


-- Web reads the catalog but neither envelopes nor sealed rows (the warden opens
-- those for it), asks for other formats, and keeps who is signed in.

GRANT SELECT ON catalog.recording, catalog.stored_object, catalog.index_token
    TO callvault_web;
-- Holds and classes are web's to say; asking for a format locks the recording's row.
GRANT UPDATE (held, held_since_ns, held_by, class_name) ON catalog.recording TO callvault_web;
GRANT SELECT, INSERT ON catalog.wanted_format TO callvault_web;
GRANT SELECT ON catalog.workgroup, catalog.device, catalog.person,
                catalog.person_role, catalog.person_workgroup TO callvault_web;
-- Administrators say on its pages whose an address is.
GRANT SELECT, INSERT, DELETE, UPDATE (agent, workgroup) ON catalog.extension
    TO callvault_web;
-- They add devices, hold them to lists and limits, renew and revoke their tokens.  What
-- a device answers SIP challenges with, web writes and never reads back.
GRANT INSERT (id, name, name_key, secret_sha256, expires_ns, media_advertise,
              allowances, addresses, media_addresses, certificates, max_calls),
      UPDATE (secret_sha256, expires_ns, revoked, media_advertise, allowances,
              addresses, media_addresses, certificates, max_calls)
    ON catalog.device TO callvault_web;
GRANT SELECT (device_id), INSERT, DELETE ON catalog.device_digest TO callvault_web;
-- And which addresses may come at all.
GRANT SELECT, INSERT, DELETE ON catalog.address_rule TO callvault_web;
-- A right password may be kept under a costlier hash.
-- What a directory says of people, it says at their sign-in: web writes that down.
-- Administrators add people, and shut and open accounts, on its pages.
GRANT INSERT (id, name, name_key, password_hash, must_change_password, source,
              external_id, seen_ns, password_changed_ns),
      UPDATE (name, name_key, password_hash, external_id, seen_ns, vouched_until_ns,
              password_changed_ns, must_change_password, disabled)
    ON catalog.person TO callvault_web;
-- A code with which somebody chooses a password counts once.
GRANT SELECT, INSERT, DELETE ON catalog.activation TO callvault_web;
-- Officers keep searches of the trail.
GRANT SELECT, INSERT, DELETE ON catalog.saved_search TO callvault_web;
-- What they exported of it last is what the next export is proved to go on from.
GRANT SELECT, INSERT, UPDATE (note, made_ns) ON catalog.trail_export TO callvault_web;
-- Who handed one over alone is no second person for whoever used it.
GRANT SELECT, INSERT, DELETE ON catalog.keeper TO callvault_web;
-- People change their own password there.
GRANT SELECT, INSERT, DELETE ON catalog.password_history TO callvault_web;
GRANT INSERT, DELETE ON catalog.person_role, catalog.person_workgroup TO callvault_web;
GRANT INSERT (id, name, name_key) ON catalog.workgroup TO callvault_web;
-- A proof of who it is gives a session another id and secret, and its grants move.
GRANT SELECT, INSERT, DELETE,
      UPDATE (id, secret_sha256, used_ns, expires_ns, authenticated_ns, methods,
              is_restricted, is_locked, provider_session) ON catalog.session TO callvault_web;
GRANT SELECT, INSERT, DELETE, UPDATE (used_ns, used_from) ON catalog.token
    TO callvault_web;
GRANT SELECT, INSERT, DELETE,
      UPDATE (session_id, expires_ns, session_ends_ns, sealed_reason)
    ON catalog.media_grant TO callvault_web;
GRANT SELECT, INSERT, DELETE, UPDATE (used_ns, expires_ns) ON catalog.known_device
    TO callvault_web;
-- Who may do what besides roles, what classes ask for, and what waits for a second
-- person; where a workgroup stands in the tree.
GRANT SELECT, INSERT, DELETE ON catalog.granted_right TO callvault_web;
GRANT SELECT, INSERT, DELETE, UPDATE (needs_reason, needs_approval)
    ON catalog.recording_class TO callvault_web;
GRANT SELECT, INSERT, DELETE,
      UPDATE (state, expires_ns, decided_by, decided_ns, sealed_reason)
    ON catalog.approval TO callvault_web;
GRANT UPDATE (name, name_key, parent_id, class_name) ON catalog.workgroup
    TO callvault_web;
GRANT SELECT, INSERT, DELETE ON catalog.sign_in_attempt TO callvault_web;
-- Second factors.  What a code is computed from is sealed under a key that only the
-- web process has, in a file; of recovery codes and ceremonies there are digests.
GRANT SELECT, INSERT, DELETE, UPDATE (last_step, is_confirmed) ON catalog.totp
    TO callvault_web;
GRANT SELECT, INSERT, DELETE, UPDATE (sign_count, used_ns) ON catalog.passkey
    TO callvault_web;
GRANT SELECT, INSERT, DELETE ON catalog.recovery_code, catalog.ceremony
    TO callvault_web;
