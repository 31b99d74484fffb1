-- Views of a tenant's conversations are made once. To make one again takes a lock that waits for every open transaction
-- which has read it: one in one process would keep the tenant from opening database sessions in any other.

ALTER TABLE database_tenants ADD COLUMN views_version integer NOT NULL DEFAULT 1;
COMMENT ON COLUMN database_tenants.views_version IS
  'Of which making the views are; those of another one than ensure_database_views() makes are made again.';

ALTER FUNCTION ensure_database_views(text) RENAME TO make_database_views;
COMMENT ON FUNCTION make_database_views(text) IS
  'Makes the views of one tenant''s conversations, or makes them again: whose they are is told by session_user.';

CREATE FUNCTION ensure_database_views(p_views text) RETURNS void
LANGUAGE plpgsql
AS $$
DECLARE
  current_version constant integer := 1; -- one more for each change of what make_database_views() makes
BEGIN
  IF (SELECT count(*) FROM pg_catalog.pg_class AS c JOIN pg_catalog.pg_namespace AS n ON n.oid = c.relnamespace
       WHERE n.nspname = p_views AND c.relkind = 'v' AND c.relname IN ('sessions', 'events', 'turns')) = 3
     AND (SELECT t.views_version FROM database_tenants AS t WHERE t.views_schema = p_views) = current_version THEN
    RETURN;
  END IF;
  PERFORM make_database_views(p_views);
  UPDATE database_tenants AS t SET views_version = current_version WHERE t.views_schema = p_views;
END
$$;
COMMENT ON FUNCTION ensure_database_views(text) IS
  'The views of one tenant''s conversations, made where they are missing or of an older making.';
REVOKE EXECUTE ON FUNCTION ensure_database_views(text) FROM PUBLIC;
