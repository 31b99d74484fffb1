-- What a tenant's SQL sees of its conversations comes out of functions now, which run as who owns the tables. Behind a
-- view alone the planner weighs the conditions of a statement by what all tenants have, and EXPLAIN shows its guesses, and
-- how many rows of others were passed over. Of a function it shows a guess that is always the same, and only its own rows.
-- A function gives all its rows, whatever is asked of them; session_events() gives those of one conversation.

CREATE OR REPLACE FUNCTION make_database_views(p_views text) RETURNS void
LANGUAGE plpgsql
AS $$
DECLARE
  -- Evaluated once a statement; nobody else needs to see the table.
  own  constant text := format('(SELECT r.tenant_id FROM %I.database_roles AS r WHERE r.role_name = session_user)',
                               current_schema());
  head constant text := 'LANGUAGE sql STABLE SECURITY DEFINER SET search_path = pg_catalog, pg_temp';
  event_columns constant text := 'session_id uuid, "offset" bigint, created_at timestamptz, kind text, role text, turn_id uuid,'
    ' tokens integer, tool_call_id text, source text, trace_id text, author text, data text';
  -- Of a fork what came after it; nothing of a turn that was rolled back, nothing that was deleted.
  event_rows constant text := format($e$SELECT s.id, e."offset", e.created_at, e.kind, e.role, e.turn_id, e.tokens,
           e.tool_call_id, e.source, e.trace_id, e.author, e.data
      FROM %1$I.events AS e JOIN %1$I.sessions AS s ON s.tenant_id = e.tenant_id AND s.log_id = e.log_id
     WHERE e.tenant_id = %2$s AND s.tenant_id = %2$s
       AND NOT EXISTS (SELECT FROM %1$I.turns AS t WHERE t.tenant_id = e.tenant_id AND t.id = e.turn_id
                                                     AND t.status = 'rolled_back')
       AND NOT EXISTS (SELECT FROM %1$I.deleted_events AS d WHERE d.tenant_id = e.tenant_id AND d.session_id = s.id
                                                       AND e."offset" BETWEEN d.first_offset AND d.last_offset)$e$,
    current_schema(), own);
BEGIN
  EXECUTE format($f$CREATE OR REPLACE FUNCTION %I.rows_of_sessions()
    RETURNS TABLE (id uuid, external_id text, user_id text, agent_id text, title text, status text, created_at timestamptz,
                   updated_at timestamptz, expires_at timestamptz, turn_count bigint, total_tokens bigint, version bigint,
                   parent_id uuid, fork_offset bigint, labels text[], mode text, metadata text) %s AS $b$
    SELECT s.id, s.external_id, s.user_id, s.agent_id, s.title, s.status, s.created_at, s.updated_at, s.expires_at,
           s.turn_count, s.total_tokens, s.version, s.parent_id, s.fork_offset, s.labels, s.mode, s.metadata
      FROM %I.sessions AS s WHERE s.tenant_id = %s $b$ $f$, p_views, head, current_schema(), own);
  EXECUTE format('CREATE OR REPLACE FUNCTION %I.rows_of_events() RETURNS TABLE (%s) %s AS %L', p_views, event_columns, head,
                 event_rows);
  EXECUTE format('CREATE OR REPLACE FUNCTION %I.session_events(p_session uuid) RETURNS TABLE (%s) %s AS %L', p_views,
                 event_columns, head, event_rows || ' AND s.id = $1 ORDER BY e."offset"');
  EXECUTE format($f$CREATE OR REPLACE FUNCTION %I.rows_of_turns()
    RETURNS TABLE (session_id uuid, number bigint, id uuid, status text, trace_id text, started_at timestamptz,
                   ended_at timestamptz, lease_expires_at timestamptz, input_tokens bigint, output_tokens bigint) %s AS $b$
    SELECT t.session_id, t.number, t.id, t.status, t.trace_id, t.started_at, t.ended_at, t.lease_expires_at,
           t.input_tokens, t.output_tokens
      FROM %I.turns AS t WHERE t.tenant_id = %s $b$ $f$, p_views, head, current_schema(), own);

  EXECUTE format($v$CREATE OR REPLACE VIEW %1$I.sessions WITH (security_barrier = true) AS
    SELECT s.id, s.external_id COLLATE "C" AS external_id, s.user_id COLLATE "C" AS user_id,
           s.agent_id COLLATE "C" AS agent_id, s.title, s.status COLLATE "C" AS status, s.created_at, s.updated_at,
           s.expires_at, s.turn_count, s.total_tokens, s.version, s.parent_id, s.fork_offset,
           s.labels COLLATE "C" AS labels, s.mode COLLATE "C" AS mode, s.metadata
      FROM %1$I.rows_of_sessions() AS s$v$, p_views);
  EXECUTE format($v$CREATE OR REPLACE VIEW %1$I.events WITH (security_barrier = true) AS
    SELECT e.session_id, e."offset", e.created_at, e.kind COLLATE "C" AS kind, e.role COLLATE "C" AS role, e.turn_id,
           e.tokens, e.tool_call_id COLLATE "C" AS tool_call_id, e.source, e.trace_id COLLATE "C" AS trace_id,
           e.author COLLATE "C" AS author, e.data
      FROM %1$I.rows_of_events() AS e$v$, p_views);
  EXECUTE format($v$CREATE OR REPLACE VIEW %1$I.turns WITH (security_barrier = true) AS
    SELECT t.session_id, t.number, t.id, t.status COLLATE "C" AS status, t.trace_id COLLATE "C" AS trace_id, t.started_at,
           t.ended_at, t.lease_expires_at, t.input_tokens, t.output_tokens
      FROM %1$I.rows_of_turns() AS t$v$, p_views);
  EXECUTE format('COMMENT ON VIEW %I.sessions IS ''Conversations.''', p_views);
  EXECUTE format('COMMENT ON VIEW %I.events IS ''What was said and done in them, by session and offset; of a fork '
                 'what came after it. data is JSON. Of one conversation session_events(id) is quicker.''', p_views);
  EXECUTE format('COMMENT ON VIEW %I.turns IS ''Runs of the agent in them.''', p_views);
  EXECUTE format('COMMENT ON FUNCTION %I.session_events(uuid) IS ''The rows of events of one conversation, in order.''',
                 p_views);
END
$$;

CREATE OR REPLACE FUNCTION ensure_database_views(p_views text) RETURNS void
LANGUAGE plpgsql
AS $$
DECLARE
  current_version constant integer := 2; -- one more for each change of what make_database_views() makes
  reader text;
BEGIN
  IF NOT (SELECT count(*) FROM pg_catalog.pg_class AS c JOIN pg_catalog.pg_namespace AS n ON n.oid = c.relnamespace
           WHERE n.nspname = p_views AND c.relkind = 'v' AND c.relname IN ('sessions', 'events', 'turns')) = 3
     OR (SELECT t.views_version FROM database_tenants AS t WHERE t.views_schema = p_views) <> current_version THEN
    PERFORM make_database_views(p_views);
    UPDATE database_tenants AS t SET views_version = current_version WHERE t.views_schema = p_views;
  END IF;
  EXECUTE format('REVOKE EXECUTE ON ALL FUNCTIONS IN SCHEMA %I FROM PUBLIC', p_views);
  FOR reader IN SELECT r.role_name FROM database_roles AS r JOIN database_tenants AS t USING (tenant_id)
                 WHERE t.views_schema = p_views LOOP
    EXECUTE format('GRANT EXECUTE ON ALL FUNCTIONS IN SCHEMA %I TO %I', p_views, reader);
  END LOOP;
END
$$;

-- A role's own types are everybody's by default, and information_schema shows everybody what they may use.
CREATE FUNCTION keep_types_private(p_tenant text) RETURNS void
LANGUAGE plpgsql
AS $$
DECLARE
  read_role  constant text := (SELECT r.role_name FROM database_roles AS r
                                WHERE r.tenant_id = p_tenant AND r.access = 'read_only');
  write_role constant text := (SELECT r.role_name FROM database_roles AS r
                                WHERE r.tenant_id = p_tenant AND r.access = 'read_write');
BEGIN
  EXECUTE format('ALTER DEFAULT PRIVILEGES FOR ROLE %I REVOKE USAGE ON TYPES FROM PUBLIC', write_role);
  EXECUTE format('ALTER DEFAULT PRIVILEGES FOR ROLE %I GRANT USAGE ON TYPES TO %I', write_role, read_role);
END
$$;
COMMENT ON FUNCTION keep_types_private(text) IS
  'The types that a tenant makes are for its own roles. For the owner of the schema, behind ensure_database_tenant().';
REVOKE EXECUTE ON FUNCTION keep_types_private(text) FROM PUBLIC;

-- What stands beside a document would stay: its terms, and how many there are.
CREATE FUNCTION refuse_truncate() RETURNS trigger
LANGUAGE plpgsql
AS $$
BEGIN
  RAISE EXCEPTION USING ERRCODE = 'feature_not_supported',
    MESSAGE = format('Colloquy keeps documents in %s, and it cannot be truncated', TG_RELID::regclass),
    HINT = 'DELETE FROM it instead, or delete the collection.';
END
$$;
COMMENT ON FUNCTION refuse_truncate() IS 'Of a table of documents that other programs may write to.';

CREATE FUNCTION guard_document_table(p_collection text) RETURNS void
LANGUAGE plpgsql
AS $$
BEGIN
  EXECUTE format('CREATE OR REPLACE TRIGGER documents_truncated BEFORE TRUNCATE ON %I.%I'
                 ' FOR EACH STATEMENT EXECUTE FUNCTION refuse_truncate()', current_schema(), left(p_collection, 63));
END
$$;
COMMENT ON FUNCTION guard_document_table(text) IS
  'Keeps a table of documents from being truncated. For who migrates, behind adopt_document_table().';
REVOKE EXECUTE ON FUNCTION refuse_truncate(), guard_document_table(text) FROM PUBLIC;
