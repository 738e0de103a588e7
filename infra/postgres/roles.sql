-- Roles for a split installation: what each process may touch, enforced by the database.
-- Run once as the owner of the database, after `callvault init` has made the schemas:
--   psql -v ON_ERROR_STOP=1 -d callvault -f roles.sql
-- Import contracts are hygiene; this is the boundary.

CREATE ROLE callvault_warden LOGIN;
CREATE ROLE callvault_tap LOGIN;
CREATE ROLE callvault_worker LOGIN;
CREATE ROLE callvault_web LOGIN;

-- The trail: only the warden writes, and it may not rewrite.
GRANT USAGE ON SCHEMA audit TO callvault_warden, callvault_web;
GRANT SELECT, INSERT ON ALL TABLES IN SCHEMA audit TO callvault_warden;
GRANT UPDATE ON audit.log_head TO callvault_warden;
GRANT UPDATE, DELETE ON audit.log_text TO callvault_warden;
GRANT SELECT ON ALL TABLES IN SCHEMA audit TO callvault_web;
REVOKE ALL ON audit.log_text FROM callvault_web;

-- The catalog.
GRANT USAGE ON SCHEMA catalog TO callvault_warden, callvault_tap, callvault_worker, callvault_web;
GRANT SELECT ON ALL TABLES IN SCHEMA catalog TO callvault_warden, callvault_tap, callvault_worker, callvault_web;
