-- Database sessions: each tenant has a login role for reading and one for writing, and a schema of its own.
--
-- The names of roles and schemas are random, because the server shows them to everybody. What a role sees of its
-- tenant's conversations are views over tables that it has no right to; whose rows they show is told by session_user,
-- which no SQL can change, and never by a setting, which any SQL can. The roles are made by who owns these tables.

CREATE TABLE database_tenants (
  tenant_id    text COLLATE "C" PRIMARY KEY,
  own_schema   text COLLATE "C" NOT NULL UNIQUE,
  views_schema text COLLATE "C" NOT NULL UNIQUE
);
COMMENT ON TABLE database_tenants IS 'Tenants that have had a database session, and where their tables lie.';
COMMENT ON COLUMN database_tenants.tenant_id IS 'As in sessions.';
COMMENT ON COLUMN database_tenants.own_schema IS 'For the tenant''s own tables.';
COMMENT ON COLUMN database_tenants.views_schema IS 'For the views of its conversations.';

CREATE TABLE database_roles (
  tenant_id text COLLATE "C" NOT NULL,
  access    text COLLATE "C" NOT NULL CHECK (access IN ('read_only', 'read_write')),
  role_name text COLLATE "C" NOT NULL UNIQUE,
  PRIMARY KEY (tenant_id, access)
);
COMMENT ON TABLE database_roles IS 'The login roles of tenants, for their database sessions.';
COMMENT ON COLUMN database_roles.tenant_id IS 'As in sessions.';
COMMENT ON COLUMN database_roles.access IS 'read_only or read_write.';
COMMENT ON COLUMN database_roles.role_name IS 'What session_user is in such a session.';

CREATE FUNCTION ensure_database_role(p_tenant text, p_access text, p_role text, p_verifier text) RETURNS void
LANGUAGE plpgsql
AS $$
DECLARE
  attributes constant text := 'LOGIN NOINHERIT NOSUPERUSER NOCREATEDB NOCREATEROLE NOREPLICATION NOBYPASSRLS';
  other name;
BEGIN
  IF NOT EXISTS (SELECT FROM pg_catalog.pg_roles WHERE rolname = p_role) THEN
    EXECUTE format('CREATE ROLE %I %s PASSWORD %L', p_role, attributes, p_verifier);
  ELSE -- before 16 a role may change its own password and settings, and make others its members
    FOR other IN SELECT m.rolname FROM pg_catalog.pg_auth_members AS a
                   JOIN pg_catalog.pg_roles AS m ON m.oid = a.member
                  WHERE a.roleid = p_role::regrole AND m.rolname <> current_user LOOP
      EXECUTE format('REVOKE %I FROM %I', p_role, other);
    END LOOP;
    EXECUTE format('ALTER ROLE %I LOGIN NOINHERIT PASSWORD %L VALID UNTIL ''infinity''', p_role, p_verifier);
    EXECUTE format('ALTER ROLE %I RESET ALL', p_role);
    EXECUTE format('ALTER ROLE %I IN DATABASE %I RESET ALL', p_role, current_database());
  END IF;
  IF NOT pg_has_role(current_user, p_role, 'USAGE') THEN -- to end its backends, and to say what its objects' rights are
    IF current_setting('server_version_num')::int >= 160000 THEN
      EXECUTE format('GRANT %I TO CURRENT_USER WITH INHERIT TRUE', p_role);
    ELSE
      EXECUTE format('GRANT %I TO CURRENT_USER', p_role);
    END IF;
  END IF;
  EXECUTE format('GRANT CONNECT ON DATABASE %I TO %I', current_database(), p_role);
  INSERT INTO database_roles (tenant_id, access, role_name) VALUES (p_tenant, p_access, p_role)
  ON CONFLICT (tenant_id, access) DO NOTHING;
END
$$;
COMMENT ON FUNCTION ensure_database_role(text, text, text, text) IS
  'Makes one login role of a tenant, or sets right what it may have changed of itself, its password first of all.';

CREATE FUNCTION ensure_database_views(p_views text) RETURNS void
LANGUAGE plpgsql
AS $$
DECLARE
  -- Evaluated once a statement; by the owner of the view, so that nobody else needs to see the table.
  own constant text := format('(SELECT r.tenant_id FROM %I.database_roles AS r WHERE r.role_name = session_user)',
                              current_schema());
BEGIN
  EXECUTE format($v$CREATE OR REPLACE VIEW %I.sessions WITH (security_barrier = true) AS
    SELECT s.id, s.external_id, s.user_id, s.agent_id, s.title, s.status, s.created_at, s.updated_at, s.expires_at,
           s.turn_count, s.total_tokens, s.version, s.parent_id, s.fork_offset, s.labels, s.mode, s.metadata
      FROM sessions AS s WHERE s.tenant_id = %s$v$, p_views, own);
  EXECUTE format($v$CREATE OR REPLACE VIEW %I.events WITH (security_barrier = true) AS
    SELECT s.id AS session_id, e."offset", e.created_at, e.kind, e.role, e.turn_id, e.tokens, e.tool_call_id, e.source,
           e.trace_id, e.author, e.data
      FROM events AS e JOIN sessions AS s ON s.tenant_id = e.tenant_id AND s.log_id = e.log_id
     WHERE e.tenant_id = %s AND s.tenant_id = %2$s
       AND NOT EXISTS (SELECT FROM turns AS t WHERE t.tenant_id = e.tenant_id AND t.id = e.turn_id
                                                AND t.status = 'rolled_back')
       AND NOT EXISTS (SELECT FROM deleted_events AS d WHERE d.tenant_id = e.tenant_id AND d.session_id = s.id
                                                         AND e."offset" BETWEEN d.first_offset AND d.last_offset)$v$, p_views, own);
  EXECUTE format($v$CREATE OR REPLACE VIEW %I.turns WITH (security_barrier = true) AS
    SELECT t.session_id, t.number, t.id, t.status, t.trace_id, t.started_at, t.ended_at, t.lease_expires_at,
           t.input_tokens, t.output_tokens
      FROM turns AS t WHERE t.tenant_id = %s$v$, p_views, own);
  EXECUTE format('COMMENT ON VIEW %I.sessions IS ''Conversations.''', p_views);
  EXECUTE format('COMMENT ON VIEW %I.events IS ''What was said and done in them, by session and offset; of a fork '
                 'what came after it. data is JSON.''', p_views);
  EXECUTE format('COMMENT ON VIEW %I.turns IS ''Runs of the agent in them.''', p_views);
END
$$;
COMMENT ON FUNCTION ensure_database_views(text) IS
  'The views of one tenant''s conversations: whose they are is told by session_user.';

CREATE FUNCTION ensure_database_tenant(p_tenant text, p_read_verifier text, p_write_verifier text,
                                       OUT read_role text, OUT write_role text, OUT own_schema text,
                                       OUT views_schema text)
LANGUAGE plpgsql
AS $$
DECLARE
  has_all constant boolean := (SELECT rolsuper FROM pg_catalog.pg_roles WHERE rolname = current_user);
BEGIN
  INSERT INTO database_tenants AS t (tenant_id, own_schema, views_schema)
  VALUES (p_tenant, 'cqt_' || replace(gen_random_uuid()::text, '-', ''),
          'cqv_' || replace(gen_random_uuid()::text, '-', ''))
  ON CONFLICT (tenant_id) DO UPDATE SET own_schema = t.own_schema -- one at a time
  RETURNING t.own_schema, t.views_schema INTO own_schema, views_schema;
  SELECT r.role_name INTO read_role FROM database_roles AS r WHERE r.tenant_id = p_tenant AND r.access = 'read_only';
  SELECT r.role_name INTO write_role FROM database_roles AS r WHERE r.tenant_id = p_tenant AND r.access = 'read_write';
  read_role := coalesce(read_role, 'cqr_' || replace(gen_random_uuid()::text, '-', ''));
  write_role := coalesce(write_role, 'cqw_' || replace(gen_random_uuid()::text, '-', ''));
  PERFORM ensure_database_role(p_tenant, 'read_only', read_role, p_read_verifier);
  PERFORM ensure_database_role(p_tenant, 'read_write', write_role, p_write_verifier);
  EXECUTE format('CREATE SCHEMA IF NOT EXISTS %I', own_schema);
  EXECUTE format('CREATE SCHEMA IF NOT EXISTS %I', views_schema);
  PERFORM ensure_database_views(views_schema);
  EXECUTE format('GRANT USAGE ON SCHEMA %I, %I TO %I, %I', own_schema, views_schema, read_role, write_role);
  EXECUTE format('GRANT CREATE ON SCHEMA %I TO %I', own_schema, write_role);
  EXECUTE format('GRANT SELECT ON ALL TABLES IN SCHEMA %I TO %I, %I', views_schema, read_role, write_role);
  EXECUTE format('GRANT TEMPORARY ON DATABASE %I TO %I', current_database(), write_role);
  EXECUTE format('ALTER DEFAULT PRIVILEGES FOR ROLE %I IN SCHEMA %I GRANT SELECT ON TABLES TO %I', write_role, own_schema,
                 read_role);
  EXECUTE format('ALTER DEFAULT PRIVILEGES FOR ROLE %I IN SCHEMA %I GRANT SELECT ON SEQUENCES TO %I', write_role,
                 own_schema, read_role);
  EXECUTE format('ALTER DEFAULT PRIVILEGES FOR ROLE %I REVOKE EXECUTE ON FUNCTIONS FROM PUBLIC', write_role);
  IF has_all AND current_setting('server_version_num')::int < 160000 THEN
    -- Before 16 even a transaction that only reads makes large objects, and everybody may.
    REVOKE EXECUTE ON FUNCTION pg_catalog.lo_creat(integer), pg_catalog.lo_create(oid), pg_catalog.lo_from_bytea(oid, bytea),
                               pg_catalog.lo_put(oid, bigint, bytea), pg_catalog.lo_truncate(integer, integer),
                               pg_catalog.lo_truncate64(integer, bigint), pg_catalog.lo_unlink(oid),
                               pg_catalog.lowrite(integer, bytea) FROM PUBLIC;
  END IF;
END
$$;
COMMENT ON FUNCTION ensure_database_tenant(text, text, text) IS
  'Makes what a tenant''s database sessions need, or sets it right: two login roles with the given passwords'' SCRAM '
  'verifiers, its own schema, and the views of its conversations. For the owner of the schema.';

-- The views are their owner's, and whoever owns these tables is held to their policies too.
ALTER TABLE database_tenants ENABLE ROW LEVEL SECURITY;
ALTER TABLE database_tenants FORCE ROW LEVEL SECURITY;
CREATE POLICY database_tenants_of_owner ON database_tenants TO CURRENT_USER USING (true) WITH CHECK (true);
CREATE POLICY database_tenants_for_system ON database_tenants FOR SELECT TO colloquy_system USING (true);
ALTER TABLE database_roles ENABLE ROW LEVEL SECURITY;
ALTER TABLE database_roles FORCE ROW LEVEL SECURITY;
CREATE POLICY database_roles_of_owner ON database_roles TO CURRENT_USER USING (true) WITH CHECK (true);
CREATE POLICY database_roles_for_system ON database_roles FOR SELECT TO colloquy_system USING (true);

CREATE POLICY sessions_of_session_user ON sessions FOR SELECT TO CURRENT_USER
  USING (tenant_id = (SELECT r.tenant_id FROM database_roles AS r WHERE r.role_name = session_user));
CREATE POLICY events_of_session_user ON events FOR SELECT TO CURRENT_USER
  USING (tenant_id = (SELECT r.tenant_id FROM database_roles AS r WHERE r.role_name = session_user));
CREATE POLICY turns_of_session_user ON turns FOR SELECT TO CURRENT_USER
  USING (tenant_id = (SELECT r.tenant_id FROM database_roles AS r WHERE r.role_name = session_user));

CREATE POLICY deleted_events_of_session_user ON deleted_events FOR SELECT TO CURRENT_USER
  USING (tenant_id = (SELECT r.tenant_id FROM database_roles AS r WHERE r.role_name = session_user));

REVOKE ALL ON database_tenants, database_roles FROM PUBLIC;
GRANT SELECT ON database_tenants, database_roles TO colloquy_system;
REVOKE EXECUTE ON FUNCTION ensure_database_role(text, text, text, text), ensure_database_views(text),
                           ensure_database_tenant(text, text, text) FROM PUBLIC;
