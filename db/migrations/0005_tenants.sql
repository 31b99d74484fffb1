-- Tenants: what each may have and has, the keys by which it is entered, and the log of what was done in its name.
--
-- As in the migrations before: unqualified names, row level security forced on every table, policies with coalesce(), no
-- right that is not needed. Rows of `tenants` are locked last in a transaction, and by tenant_id.

CREATE TABLE tenants (
  tenant_id               text COLLATE "C" PRIMARY KEY,
  title                   text NOT NULL DEFAULT '' CHECK (char_length(title) <= 1000),
  created_at              timestamptz NOT NULL DEFAULT clock_timestamp(),
  sessions                bigint NOT NULL DEFAULT 0,
  stored_bytes            bigint NOT NULL DEFAULT 0,
  requests_per_s          bigint CHECK (requests_per_s >= 1),
  request_burst           bigint CHECK (request_burst >= 1),
  sessions_max            bigint CHECK (sessions_max >= 1),
  resident_sessions_max   bigint CHECK (resident_sessions_max >= 1),
  stored_bytes_max        bigint CHECK (stored_bytes_max >= 1),
  running_turns_max       bigint CHECK (running_turns_max >= 1),
  subscriptions_max       bigint CHECK (subscriptions_max >= 1),
  message_bytes_max       bigint CHECK (message_bytes_max >= 1),
  connections_max         bigint CHECK (connections_max >= 1),
  idempotency_scope       text COLLATE "C",
  idempotency_key         text COLLATE "C",
  idempotency_fingerprint text COLLATE "C"
) WITH (fillfactor = 50); -- counted on every second
CREATE UNIQUE INDEX idx_tenants_idempotency_key ON tenants (idempotency_scope, idempotency_key)
  WHERE idempotency_key IS NOT NULL;

COMMENT ON TABLE tenants IS 'One row a customer of the host: what it may have at most, and what it has.';
COMMENT ON COLUMN tenants.tenant_id IS 'Its name; first in the keys of whatever it owns.';
COMMENT ON COLUMN tenants.title IS 'For people.';
COMMENT ON COLUMN tenants.created_at IS 'When it was made, or first seen.';
COMMENT ON COLUMN tenants.sessions IS
  'Sessions that are not wholly erased. Counted with a delay: below zero for a moment if one goes before it is counted.';
COMMENT ON COLUMN tenants.stored_bytes IS 'Bytes of events.data, counted in the same way.';
COMMENT ON COLUMN tenants.requests_per_s IS 'At most so many requests a second; null, here as below: no bound of its own.';
COMMENT ON COLUMN tenants.request_burst IS 'At once after a rest.';
COMMENT ON COLUMN tenants.sessions_max IS 'Bound of sessions.';
COMMENT ON COLUMN tenants.resident_sessions_max IS 'Sessions in the memory of one process.';
COMMENT ON COLUMN tenants.stored_bytes_max IS 'Bound of stored_bytes.';
COMMENT ON COLUMN tenants.running_turns_max IS 'Turns that run at once in one process.';
COMMENT ON COLUMN tenants.subscriptions_max IS 'Streams and long polls in one process.';
COMMENT ON COLUMN tenants.message_bytes_max IS 'Bytes of one message.';
COMMENT ON COLUMN tenants.connections_max IS 'Connections to one process.';
COMMENT ON COLUMN tenants.idempotency_scope IS 'Tells apart which kind of request idempotency_key belongs to.';
COMMENT ON COLUMN tenants.idempotency_key IS 'Of the request that made it, if it may be repeated.';
COMMENT ON COLUMN tenants.idempotency_fingerprint IS 'A digest of that request: another one under the same key is refused.';

CREATE TABLE api_keys (
  tenant_id    text COLLATE "C" NOT NULL,
  id           uuid NOT NULL,
  prefix       text COLLATE "C" NOT NULL CHECK (char_length(prefix) BETWEEN 1 AND 255),
  sha256       bytea NOT NULL CHECK (octet_length(sha256) = 32),
  name         text NOT NULL DEFAULT '' CHECK (char_length(name) <= 255),
  can_read     boolean NOT NULL,
  can_write    boolean NOT NULL,
  can_admin    boolean NOT NULL,
  user_id      text COLLATE "C" CHECK (char_length(user_id) BETWEEN 1 AND 255),
  created_at   timestamptz NOT NULL,
  expires_in_s bigint CHECK (expires_in_s >= 1),
  expires_at   timestamptz,
  last_used_at timestamptz,
  revoked_at   timestamptz,
  PRIMARY KEY (tenant_id, id)
);
CREATE UNIQUE INDEX idx_api_keys_prefix ON api_keys (prefix);
CREATE INDEX idx_api_keys_created_at ON api_keys (tenant_id, created_at DESC, id DESC);

COMMENT ON TABLE api_keys IS 'Keys by which a tenant is entered, without their secrets. Rows are never deleted.';
COMMENT ON COLUMN api_keys.tenant_id IS 'The tenant that it opens.';
COMMENT ON COLUMN api_keys.id IS 'UUIDv7, made by the service.';
COMMENT ON COLUMN api_keys.prefix IS 'The part of the key that it is found by, and known to people by.';
COMMENT ON COLUMN api_keys.sha256 IS 'Of the whole key.';
COMMENT ON COLUMN api_keys.name IS 'For people.';
COMMENT ON COLUMN api_keys.can_read IS 'Whether it may see.';
COMMENT ON COLUMN api_keys.can_write IS 'Whether it may change.';
COMMENT ON COLUMN api_keys.can_admin IS 'Whether it may govern the tenant: its keys, its audit log, its users.';
COMMENT ON COLUMN api_keys.user_id IS 'If set, it sees only what this user sees.';
COMMENT ON COLUMN api_keys.created_at IS 'When it was made.';
COMMENT ON COLUMN api_keys.expires_in_s IS
  'The seconds that it was made for; the key that follows it lives as long. Null: for ever.';
COMMENT ON COLUMN api_keys.expires_at IS 'From then on it opens nothing; brought forward when another follows it; null: never.';
COMMENT ON COLUMN api_keys.last_used_at IS 'When it was last used, with a minute''s delay.';
COMMENT ON COLUMN api_keys.revoked_at IS 'Since when it opens nothing, because somebody said so.';

CREATE TABLE audit_log (
  tenant_id   text COLLATE "C" NOT NULL,
  at          timestamptz NOT NULL,
  id          uuid NOT NULL,
  actor       text COLLATE "C" NOT NULL,
  request_id  text COLLATE "C" NOT NULL,
  action      text COLLATE "C" NOT NULL,
  target_kind text COLLATE "C" NOT NULL,
  target      text COLLATE "C" NOT NULL,
  PRIMARY KEY (tenant_id, at, id)
);
CREATE INDEX idx_audit_log_actor ON audit_log (tenant_id, actor, at, id);
CREATE INDEX idx_audit_log_action ON audit_log (tenant_id, action, at, id);
CREATE INDEX idx_audit_log_target ON audit_log (tenant_id, target, at, id);

COMMENT ON TABLE audit_log IS 'Who did what to which thing when; never what is in the thing. Added to, never changed.';
COMMENT ON COLUMN audit_log.tenant_id IS 'In whose name; empty: for the service as a whole.';
COMMENT ON COLUMN audit_log.at IS 'When.';
COMMENT ON COLUMN audit_log.id IS 'UUIDv7, made by the service.';
COMMENT ON COLUMN audit_log.actor IS 'Who: key:PREFIX, jwt:SUBJECT, admin, local, service.';
COMMENT ON COLUMN audit_log.request_id IS 'Of the HTTP request.';
COMMENT ON COLUMN audit_log.action IS 'What was done, such as session.create.';
COMMENT ON COLUMN audit_log.target_kind IS 'session, user, key, tenant, pool.';
COMMENT ON COLUMN audit_log.target IS 'Its id.';

CREATE TABLE service_keys (
  is_only      boolean PRIMARY KEY DEFAULT true CHECK (is_only),
  admin_sha256 bytea NOT NULL CHECK (octet_length(admin_sha256) = 32),
  created_at   timestamptz NOT NULL DEFAULT clock_timestamp()
);

COMMENT ON TABLE service_keys IS 'The key that belongs to no tenant: one row, or none yet.';
COMMENT ON COLUMN service_keys.is_only IS 'There is one row at most.';
COMMENT ON COLUMN service_keys.admin_sha256 IS 'Of the admin key, which makes tenants and their first keys.';
COMMENT ON COLUMN service_keys.created_at IS 'When it was kept.';

CREATE TABLE usage_meters (
  meter_id   uuid PRIMARY KEY,
  seq        bigint NOT NULL,
  counted_at timestamptz NOT NULL DEFAULT clock_timestamp()
) WITH (fillfactor = 50); -- advanced every second

COMMENT ON TABLE usage_meters IS 'Who counts what tenants have: nothing is counted twice, whatever becomes of an answer.';
COMMENT ON COLUMN usage_meters.meter_id IS 'Made anew by each start.';
COMMENT ON COLUMN usage_meters.seq IS 'The last of its counts that is in tenants.';
COMMENT ON COLUMN usage_meters.counted_at IS 'When; forgotten some time after.';

-- ---- what tenants have ----------------------------------------------------------------------------------------------

CREATE FUNCTION add_usage(p_tenants text[], p_sessions bigint[], p_bytes bigint[]) RETURNS void
LANGUAGE plpgsql
AS $$
BEGIN
  INSERT INTO tenants AS t (tenant_id, sessions, stored_bytes)
  SELECT u.tenant_id, u.sessions, u.bytes
    FROM unnest(p_tenants, p_sessions, p_bytes) AS u(tenant_id, sessions, bytes)
   ORDER BY u.tenant_id COLLATE "C"
  ON CONFLICT (tenant_id) DO UPDATE
    SET sessions = t.sessions + EXCLUDED.sessions, stored_bytes = t.stored_bytes + EXCLUDED.stored_bytes;
END
$$;
COMMENT ON FUNCTION add_usage(text[], bigint[], bigint[]) IS
  'Adds sessions and bytes to what tenants have, each named once; one that has no row yet gets it. For colloquy_system.';

CREATE FUNCTION count_usage(p_meter uuid, p_seq bigint, p_tenants text[], p_sessions bigint[], p_bytes bigint[])
RETURNS void
LANGUAGE plpgsql
AS $$
BEGIN
  IF p_seq = 1 THEN
    DELETE FROM usage_meters WHERE counted_at < clock_timestamp() - interval '48 hours';
  END IF;
  INSERT INTO usage_meters AS m (meter_id, seq) VALUES (p_meter, p_seq)
  ON CONFLICT (meter_id) DO UPDATE SET seq = p_seq, counted_at = clock_timestamp() WHERE m.seq < p_seq;
  IF FOUND THEN
    PERFORM add_usage(p_tenants, p_sessions, p_bytes);
  END IF;
END
$$;
COMMENT ON FUNCTION count_usage(uuid, bigint, text[], bigint[], bigint[]) IS
  'Adds what a meter has counted, unless it has done so under this number before. For colloquy_system.';

-- Who erases may not read events; what a trigger is handed it may look at.
CREATE FUNCTION subtract_erased() RETURNS trigger
LANGUAGE plpgsql
AS $$
BEGIN
  PERFORM add_usage(array_agg(u.tenant_id), array_agg(0), array_agg(-u.bytes))
     FROM (SELECT g.tenant_id, sum(octet_length(g.data))::bigint AS bytes FROM gone AS g GROUP BY g.tenant_id) AS u;
  RETURN NULL;
END
$$;
COMMENT ON FUNCTION subtract_erased() IS 'Trigger: takes the bytes of erased events off what their tenants have.';

CREATE TRIGGER events_erased AFTER DELETE ON events REFERENCING OLD TABLE AS gone
  FOR EACH STATEMENT EXECUTE FUNCTION subtract_erased();

-- As before, and what it adds to the logs is counted.
CREATE OR REPLACE FUNCTION cleanup_expired_sessions(p_process uuid, p_now timestamptz, p_tenants text[], p_sessions uuid[])
RETURNS bigint
LANGUAGE plpgsql
AS $$
DECLARE
  owned   smallint[];
  marked  bigint := 0;
  of_whom text[] := '{}';
  s       record;
  l       record;
  last    record;
  said    constant text := '{"status":"expired"}';
BEGIN
  owned := ARRAY(SELECT h.shard FROM shards AS h
                  WHERE h.shard = ANY (ARRAY(SELECT shard_of(u.id) FROM unnest(p_sessions) AS u(id)))
                    AND h.process_id = p_process
                  ORDER BY h.shard FOR SHARE);
  FOR s IN
    SELECT t.tenant_id, t.id, t.log_id
      FROM unnest(p_tenants, p_sessions) AS u(tenant_id, id)
      JOIN sessions AS t ON t.tenant_id = u.tenant_id AND t.id = u.id
     WHERE shard_of(u.id) = ANY (owned) AND t.status <> 'expired' AND t.expires_at <= p_now
     ORDER BY t.tenant_id, t.id FOR UPDATE OF t
  LOOP
    UPDATE sessions AS t SET status = 'expired' WHERE t.tenant_id = s.tenant_id AND t.id = s.id;
    SELECT p.fork_offset, p.messages INTO l FROM logs AS p WHERE p.tenant_id = s.tenant_id AND p.id = s.log_id;
    SELECT e."offset", e.messages INTO last FROM events AS e
     WHERE e.tenant_id = s.tenant_id AND e.log_id = s.log_id ORDER BY e."offset" DESC LIMIT 1;
    INSERT INTO events (tenant_id, log_id, "offset", created_at, kind, data, messages)
    VALUES (s.tenant_id, s.log_id, coalesce(last."offset", l.fork_offset, -1) + 1, p_now, 'status', said,
            coalesce(last.messages, l.messages, 0));
    marked := marked + 1;
    of_whom := of_whom || s.tenant_id;
  END LOOP;
  PERFORM add_usage(array_agg(u.tenant_id), array_agg(0), array_agg(u.events * octet_length(said)))
     FROM (SELECT t AS tenant_id, count(*) AS events FROM unnest(of_whom) AS t GROUP BY t) AS u;
  RETURN marked;
END
$$;

-- As before, and when a session is gone the tenant has one less; its bytes are subtracted by the trigger.
CREATE OR REPLACE FUNCTION erase_step(p_tenant text, p_session uuid, p_rows bigint)
RETURNS TABLE (is_done boolean, events bigint, turns bigint, idempotency_keys bigint, participants bigint,
               events_kept_for_forks bigint)
LANGUAGE plpgsql
AS $$
#variable_conflict use_column
DECLARE
  e    erasures;
  l    record;
  rest bigint := p_rows;
  n    bigint;
  keep bigint;
  upto bigint;
  done boolean := false;
BEGIN
  SELECT * INTO e FROM erasures AS r WHERE r.tenant_id = p_tenant AND r.session_id = p_session FOR UPDATE;
  IF NOT FOUND THEN
    RETURN;
  END IF;

  IF e.own_log THEN
    DELETE FROM idempotency_keys AS k USING (
      SELECT scope, key FROM idempotency_keys WHERE tenant_id = p_tenant AND session_id = p_session
       ORDER BY scope, key LIMIT rest) AS old
     WHERE k.tenant_id = p_tenant AND k.session_id = p_session AND k.scope = old.scope AND k.key = old.key;
    GET DIAGNOSTICS n = ROW_COUNT;
    rest := rest - n;
    e.idempotency_keys := e.idempotency_keys + n;
    DELETE FROM idempotency_keys WHERE tenant_id = p_tenant AND made_session_id = p_session;
    GET DIAGNOSTICS n = ROW_COUNT;
    e.idempotency_keys := e.idempotency_keys + n;
    DELETE FROM participants WHERE tenant_id = p_tenant AND session_id = p_session;
    GET DIAGNOSTICS n = ROW_COUNT;
    e.participants := e.participants + n;
  END IF;

  IF rest > 0 THEN
    SELECT p.parent_id, p.fork_offset, p.has_session INTO l
      FROM logs AS p WHERE p.tenant_id = p_tenant AND p.id = e.log_id FOR UPDATE;
    IF NOT e.own_log AND (NOT FOUND OR l.has_session) THEN
      done := true;
    ELSE
      keep := coalesce((SELECT max(p.fork_offset) FROM logs AS p
                         WHERE p.tenant_id = p_tenant AND p.parent_id = e.log_id), -1);
      IF e.kept_through IS DISTINCT FROM keep THEN -- else what the last steps took away is not walked through again
        e.kept_through := keep;
        e.erased_through := keep;
      END IF;
      upto := (SELECT max(v."offset") FROM (
                 SELECT o."offset" FROM events AS o WHERE o.tenant_id = p_tenant AND o.log_id = e.log_id
                    AND o."offset" > e.erased_through ORDER BY o."offset" LIMIT rest) AS v);
      DELETE FROM events AS o WHERE o.tenant_id = p_tenant AND o.log_id = e.log_id
                                AND o."offset" > e.erased_through AND o."offset" <= upto;
      GET DIAGNOSTICS n = ROW_COUNT;
      rest := rest - n;
      e.events := e.events + n;
      e.erased_through := coalesce(upto, e.erased_through);

      -- No fork shows what a rolled-back turn wrote; that the turn was rolled back is still told.
      IF e.own_log AND rest > 0 AND EXISTS (
           SELECT FROM turns WHERE tenant_id = p_tenant AND log_id = e.log_id AND status = 'rolled_back'
              AND first_offset <= keep) THEN
        SELECT max(v."offset"), count(*) INTO upto, n FROM (
          SELECT o."offset" FROM events AS o WHERE o.tenant_id = p_tenant AND o.log_id = e.log_id
             AND o."offset" > coalesce(e.hidden_through, -1) AND o."offset" <= keep
           ORDER BY o."offset" LIMIT rest) AS v;
        rest := rest - n;
        DELETE FROM events AS o
         WHERE o.tenant_id = p_tenant AND o.log_id = e.log_id
           AND o."offset" > coalesce(e.hidden_through, -1) AND o."offset" <= upto
           AND EXISTS (SELECT FROM turns AS t WHERE t.tenant_id = o.tenant_id AND t.id = o.turn_id
                                                AND t.status = 'rolled_back');
        GET DIAGNOSTICS n = ROW_COUNT;
        e.hidden_through := coalesce(upto, e.hidden_through);
        e.hidden := e.hidden + n;
        e.events := e.events + n;
      END IF;

      IF e.own_log THEN
        DELETE FROM turns AS t USING (
          SELECT number FROM turns WHERE tenant_id = p_tenant AND session_id = p_session
             AND NOT (status = 'rolled_back' AND coalesce(first_offset, 0) <= keep)
           ORDER BY number LIMIT rest) AS old
         WHERE t.tenant_id = p_tenant AND t.session_id = p_session AND t.number = old.number;
      ELSE
        DELETE FROM turns AS t USING (
          SELECT session_id, number FROM turns WHERE tenant_id = p_tenant AND log_id = e.log_id
             AND status = 'rolled_back' AND first_offset > keep ORDER BY first_offset LIMIT rest) AS old
         WHERE t.tenant_id = p_tenant AND t.session_id = old.session_id AND t.number = old.number;
      END IF;
      GET DIAGNOSTICS n = ROW_COUNT;
      rest := rest - n;
      e.turns := e.turns + n;

      IF rest > 0 AND keep >= 0 THEN
        IF e.own_log THEN
          e.events_kept_for_forks := greatest(keep - coalesce(l.fork_offset, -1) - e.hidden, 0);
        END IF;
        done := true;
      ELSIF rest > 0 THEN
        DELETE FROM logs AS p WHERE p.tenant_id = p_tenant AND p.id = e.log_id;
        done := l.parent_id IS NULL;
        e.log_id := coalesce(l.parent_id, e.log_id);
        e.own_log := false;
        e.kept_through := NULL;
      END IF;
    END IF;
  END IF;

  IF done THEN
    DELETE FROM erasures AS r WHERE r.tenant_id = p_tenant AND r.session_id = p_session;
    PERFORM add_usage(ARRAY[p_tenant], ARRAY[-1], ARRAY[0]);
  ELSE
    UPDATE erasures AS r
       SET log_id = e.log_id, own_log = e.own_log, kept_through = e.kept_through, erased_through = e.erased_through,
           hidden_through = e.hidden_through, hidden = e.hidden, events = e.events, turns = e.turns,
           idempotency_keys = e.idempotency_keys, participants = e.participants,
           events_kept_for_forks = e.events_kept_for_forks
     WHERE r.tenant_id = p_tenant AND r.session_id = p_session;
  END IF;
  RETURN QUERY SELECT done, e.events, e.turns, e.idempotency_keys, e.participants, e.events_kept_for_forks;
END
$$;

-- What there is already. A session that is being erased counts until that is done. The owner sees no row without a policy.
CREATE POLICY backfill ON sessions TO CURRENT_USER USING (true);
CREATE POLICY backfill ON events TO CURRENT_USER USING (true);
CREATE POLICY backfill ON erasures TO CURRENT_USER USING (true);

INSERT INTO tenants (tenant_id) VALUES ('default');
SELECT add_usage(array_agg(u.tenant_id), array_agg(u.sessions), array_agg(u.bytes))
  FROM (SELECT v.tenant_id, sum(v.sessions)::bigint AS sessions, sum(v.bytes)::bigint AS bytes
          FROM (SELECT tenant_id, count(*) AS sessions, 0 AS bytes FROM sessions GROUP BY tenant_id
                UNION ALL SELECT tenant_id, count(*), 0 FROM erasures GROUP BY tenant_id
                UNION ALL SELECT tenant_id, 0, sum(octet_length(data)) FROM events GROUP BY tenant_id) AS v
         GROUP BY v.tenant_id) AS u;

DROP POLICY backfill ON sessions;
DROP POLICY backfill ON events;
DROP POLICY backfill ON erasures;

-- ---- who may do what ------------------------------------------------------------------------------------------------

ALTER TABLE tenants ENABLE ROW LEVEL SECURITY;
ALTER TABLE tenants FORCE ROW LEVEL SECURITY;
CREATE POLICY tenants_of_tenants ON tenants TO colloquy_service
  USING (coalesce(tenant_id, '') = ANY ((SELECT current_tenants())::text[]))
  WITH CHECK (coalesce(tenant_id, '') = ANY ((SELECT current_tenants())::text[]));
CREATE POLICY tenants_for_system ON tenants TO colloquy_system USING (true) WITH CHECK (true);

ALTER TABLE api_keys ENABLE ROW LEVEL SECURITY;
ALTER TABLE api_keys FORCE ROW LEVEL SECURITY;
CREATE POLICY api_keys_of_tenants ON api_keys TO colloquy_service
  USING (coalesce(tenant_id, '') = ANY ((SELECT current_tenants())::text[]))
  WITH CHECK (coalesce(tenant_id, '') = ANY ((SELECT current_tenants())::text[]));
CREATE POLICY api_keys_for_system ON api_keys FOR SELECT TO colloquy_system USING (true);

ALTER TABLE audit_log ENABLE ROW LEVEL SECURITY;
ALTER TABLE audit_log FORCE ROW LEVEL SECURITY;
CREATE POLICY audit_log_of_tenants ON audit_log FOR SELECT TO colloquy_service
  USING (coalesce(tenant_id, '') = ANY ((SELECT current_tenants())::text[]));
CREATE POLICY audit_log_by_tenants ON audit_log FOR INSERT TO colloquy_service
  WITH CHECK (coalesce(tenant_id, '') = ANY ((SELECT current_tenants())::text[]));
CREATE POLICY audit_log_of_system ON audit_log FOR SELECT TO colloquy_system USING (true);
CREATE POLICY audit_log_by_system ON audit_log FOR INSERT TO colloquy_system WITH CHECK (true);

-- Hold no tenant's data.
ALTER TABLE service_keys ENABLE ROW LEVEL SECURITY;
ALTER TABLE service_keys FORCE ROW LEVEL SECURITY;
CREATE POLICY service_keys_for_system ON service_keys TO colloquy_system USING (true) WITH CHECK (true);

ALTER TABLE usage_meters ENABLE ROW LEVEL SECURITY;
ALTER TABLE usage_meters FORCE ROW LEVEL SECURITY;
CREATE POLICY usage_meters_for_system ON usage_meters TO colloquy_system USING (true) WITH CHECK (true);

-- No key's digest is the service's to read, and nobody changes or deletes what the audit log says.
REVOKE ALL ON tenants, api_keys, audit_log, service_keys, usage_meters FROM PUBLIC;
GRANT SELECT (tenant_id, title, created_at, sessions, stored_bytes, requests_per_s, request_burst, sessions_max,
              resident_sessions_max, stored_bytes_max, running_turns_max, subscriptions_max, message_bytes_max,
              connections_max),
      UPDATE (requests_per_s, request_burst, sessions_max, resident_sessions_max, stored_bytes_max, running_turns_max,
              subscriptions_max, message_bytes_max, connections_max)
   ON tenants TO colloquy_service;
GRANT SELECT (tenant_id, id, prefix, name, can_read, can_write, can_admin, user_id, created_at, expires_in_s, expires_at,
              last_used_at, revoked_at), INSERT, UPDATE (expires_at, last_used_at, revoked_at)
   ON api_keys TO colloquy_service;
GRANT SELECT, INSERT ON audit_log TO colloquy_service;

GRANT SELECT, INSERT, UPDATE (sessions, stored_bytes) ON tenants TO colloquy_system;
GRANT SELECT ON api_keys TO colloquy_system;
GRANT SELECT (tenant_id, at, id), INSERT ON audit_log TO colloquy_system;
GRANT SELECT, INSERT ON service_keys TO colloquy_system;
GRANT SELECT, INSERT, UPDATE (seq, counted_at), DELETE ON usage_meters TO colloquy_system;

REVOKE EXECUTE ON FUNCTION add_usage(text[], bigint[], bigint[]), subtract_erased(),
                           count_usage(uuid, bigint, text[], bigint[], bigint[]) FROM PUBLIC;
GRANT EXECUTE ON FUNCTION add_usage(text[], bigint[], bigint[]),
                          count_usage(uuid, bigint, text[], bigint[], bigint[]) TO colloquy_system;
