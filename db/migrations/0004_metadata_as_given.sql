-- A caller's metadata is given back as it came. jsonb is not that: it orders an object's members anew and writes numbers
-- in its own way, so that what a session says of itself would change while it sleeps. Whoever reads it by SQL finds it as
-- jsonb in the view; what is accepted can be cast (a JSON object with numbers of moderate length, no NUL).

DROP VIEW conversations;

ALTER TABLE sessions ALTER COLUMN metadata DROP DEFAULT;
ALTER TABLE sessions ALTER COLUMN metadata TYPE text USING metadata::text;
ALTER TABLE sessions ALTER COLUMN metadata SET DEFAULT '{}';
COMMENT ON COLUMN sessions.metadata IS 'The caller''s own JSON object, as it came.';

CREATE VIEW conversations WITH (security_invoker = true) AS
  SELECT s.tenant_id, s.log_id AS id, s.id AS session_id, s.external_id, s.title, s.created_at, s.updated_at,
         s.expires_at, s.metadata::jsonb AS metadata
    FROM sessions AS s;
COMMENT ON VIEW conversations IS 'Sessions as conversations: id (of the log), session_id, external id, title, times, metadata.';
REVOKE ALL ON conversations FROM PUBLIC;
GRANT SELECT ON conversations TO colloquy_service;
