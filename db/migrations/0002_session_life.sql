-- The rest of a session's life: forks and erasure, participants, requests that may be repeated, and which process owns
-- which sessions.
--
-- As in the first migration: unqualified names, row level security forced on every table, policies with coalesce() so
-- that they stay out of index conditions, and no right that is not needed. Locks that several transactions take are
-- always taken in this order: idempotency_keys, sessions, logs, and within one table by key; so they cannot deadlock.

CREATE FUNCTION shard_of(id uuid) RETURNS smallint
LANGUAGE sql IMMUTABLE PARALLEL SAFE STRICT
AS $$ SELECT (((get_byte(uuid_send(id), 14) & 3) << 8) | get_byte(uuid_send(id), 15))::smallint $$;
COMMENT ON FUNCTION shard_of(uuid) IS 'Which of the 1,024 shards a session belongs to: the low 10 bits of its id.';

-- ---- events and turns ----------------------------------------------------------------------------------------------

ALTER TABLE events ADD COLUMN messages bigint NOT NULL DEFAULT 0, ADD COLUMN author text COLLATE "C";
ALTER TABLE events ALTER COLUMN messages DROP DEFAULT;
ALTER TABLE sessions ADD COLUMN expires_in_s bigint CHECK (expires_in_s > 0);
ALTER TABLE turns ADD COLUMN process_id uuid, ADD COLUMN log_id uuid, ADD COLUMN first_offset bigint,
                  ADD COLUMN messages bigint;

COMMENT ON COLUMN sessions.expires_in_s IS
  'Seconds, as last given: what a use of the session extends it by; null: never, or as long as it was first given.';
COMMENT ON COLUMN events.messages IS 'Messages in the log up to and including this event, shared ones too.';
COMMENT ON COLUMN events.author IS 'The user who wrote it, where several share a session.';
COMMENT ON COLUMN turns.process_id IS 'The process that granted it.';
COMMENT ON COLUMN turns.log_id IS 'The log that it writes into: the session''s.';
COMMENT ON COLUMN turns.first_offset IS 'Of its first event.';
COMMENT ON COLUMN turns.messages IS 'Messages that it has written.';

-- The owner sees no row without a policy either.
CREATE POLICY backfill ON events TO CURRENT_USER USING (true) WITH CHECK (true);
CREATE POLICY backfill ON turns TO CURRENT_USER USING (true) WITH CHECK (true);

UPDATE events AS e SET messages = counted.messages
  FROM (SELECT tenant_id, log_id, "offset",
               count(*) FILTER (WHERE kind = 'message')
                 OVER (PARTITION BY tenant_id, log_id ORDER BY "offset") AS messages
          FROM events) AS counted
 WHERE e.tenant_id = counted.tenant_id AND e.log_id = counted.log_id AND e."offset" = counted."offset";

UPDATE turns AS t SET log_id = written.log_id, first_offset = written.first_offset, messages = written.messages
  FROM (SELECT tenant_id, turn_id, log_id, min("offset") AS first_offset,
               count(*) FILTER (WHERE kind = 'message') AS messages
          FROM events WHERE turn_id IS NOT NULL GROUP BY tenant_id, turn_id, log_id) AS written
 WHERE t.tenant_id = written.tenant_id AND t.id = written.turn_id;

DROP POLICY backfill ON events;
DROP POLICY backfill ON turns;

CREATE INDEX idx_events_created_at ON events USING brin (created_at) WITH (pages_per_range = 32, autosummarize = on);
CREATE INDEX idx_events_author ON events (tenant_id, author) WHERE author IS NOT NULL;
CREATE INDEX idx_turns_id ON turns (tenant_id, id);
CREATE INDEX idx_turns_ended_at ON turns (tenant_id, ended_at) WHERE ended_at IS NOT NULL;
-- Asked for every event that is read: small, and mostly in the server's memory.
CREATE UNIQUE INDEX idx_turns_rolled_back ON turns (tenant_id, id) WHERE status = 'rolled_back';
CREATE INDEX idx_turns_hidden ON turns (tenant_id, log_id, first_offset) WHERE status = 'rolled_back';
CREATE INDEX idx_sessions_expired ON sessions (expires_at) WHERE status = 'expired';
CREATE INDEX idx_sessions_agent_id ON sessions (tenant_id, agent_id, created_at DESC, id DESC)
  WHERE agent_id IS NOT NULL;

-- ---- forks ---------------------------------------------------------------------------------------------------------

CREATE TABLE logs (
  tenant_id   text COLLATE "C" NOT NULL,
  id          uuid NOT NULL,
  parent_id   uuid,
  fork_offset bigint CHECK (fork_offset >= 0),
  messages    bigint NOT NULL DEFAULT 0 CHECK (messages >= 0),
  has_session boolean NOT NULL DEFAULT true,
  PRIMARY KEY (tenant_id, id),
  CHECK ((parent_id IS NULL) = (fork_offset IS NULL))
);
CREATE INDEX idx_logs_parent_id ON logs (tenant_id, parent_id, fork_offset) WHERE parent_id IS NOT NULL;

COMMENT ON TABLE logs IS
  'Logs that are forks, have forks, or are being erased; any other log has no row. A fork''s own events begin behind '
  'fork_offset; those up to it are in the log parent_id, which holds the event at fork_offset itself.';
COMMENT ON COLUMN logs.tenant_id IS 'The owner, as in sessions.';
COMMENT ON COLUMN logs.id IS 'events.log_id and sessions.log_id.';
COMMENT ON COLUMN logs.parent_id IS 'The log in which this one begins; null if it begins with itself.';
COMMENT ON COLUMN logs.fork_offset IS 'The last offset that it shares with parent_id.';
COMMENT ON COLUMN logs.messages IS 'Messages up to and including fork_offset.';
COMMENT ON COLUMN logs.has_session IS 'False once its session is erased: it stays for its forks only.';

-- The row of the parent is locked first. An erasure locks it too before it looks for forks, so the events that are seen
-- here stay as long as the fork.
CREATE FUNCTION add_forks(p_tenants text[], p_sessions uuid[], p_logs uuid[], p_parents uuid[], p_offsets bigint[],
                          p_messages bigint[])
RETURNS void
LANGUAGE plpgsql
AS $$
DECLARE
  f record;
BEGIN
  FOR f IN
    SELECT u.* FROM unnest(p_tenants, p_sessions, p_logs, p_parents, p_offsets, p_messages)
                      AS u(tenant_id, session_id, log_id, parent_id, fork_offset, messages)
     WHERE EXISTS (SELECT FROM sessions AS s
                    WHERE s.tenant_id = u.tenant_id AND s.id = u.session_id AND s.log_id = u.log_id)
     ORDER BY u.tenant_id COLLATE "C", u.parent_id, u.log_id
  LOOP
    INSERT INTO logs AS l (tenant_id, id) VALUES (f.tenant_id, f.parent_id)
    ON CONFLICT (tenant_id, id) DO UPDATE SET has_session = l.has_session;
    IF NOT EXISTS (SELECT FROM events AS e WHERE e.tenant_id = f.tenant_id AND e.log_id = f.parent_id
                                             AND e."offset" = f.fork_offset) THEN
      RAISE EXCEPTION 'log % has no event % (any more), where a fork is to begin', f.parent_id, f.fork_offset
        USING ERRCODE = 'foreign_key_violation';
    END IF;
    INSERT INTO logs (tenant_id, id, parent_id, fork_offset, messages)
    VALUES (f.tenant_id, f.log_id, f.parent_id, f.fork_offset, f.messages);
  END LOOP;
END
$$;
COMMENT ON FUNCTION add_forks(text[], uuid[], uuid[], uuid[], bigint[], bigint[]) IS
  'The rows in logs of the forks among the sessions that have just been made, and of the logs they begin in.';

-- The links from a log up to the one that holds the first wanted offset; from there each segment in its order, until
-- there is enough. Costs the links above the wanted end and what is returned.
CREATE FUNCTION read_fork(p_tenant text, p_log uuid, p_after bigint, p_before bigint, p_limit bigint, p_bytes bigint,
                          p_newest boolean, p_messages_only boolean)
RETURNS SETOF events
LANGUAGE plpgsql STABLE
AS $$
DECLARE
  ids    uuid[] := '{}';   -- of the segments that hold wanted offsets, newest first
  lowers bigint[] := '{}'; -- offsets greater than
  uppers bigint[] := '{}'; -- and up to
  l      record;
  this_log uuid := p_log;
  upper  bigint := p_before - 1;
  rest   bigint := p_limit;
  bytes  bigint := p_bytes;
  e      events;
  at     int;
BEGIN
  WHILE this_log IS NOT NULL AND upper > p_after AND rest > 0 AND bytes > 0 LOOP
    SELECT p.parent_id, coalesce(p.fork_offset, -1) AS fork_offset INTO l
      FROM logs AS p WHERE p.tenant_id = p_tenant AND p.id = this_log;
    IF p_newest THEN
      FOR e IN SELECT v.* FROM events AS v
                WHERE v.tenant_id = p_tenant AND v.log_id = this_log AND v."offset" <= upper
                  AND v."offset" > greatest(p_after, coalesce(l.fork_offset, -1))
                  AND (v.kind = 'message' OR NOT p_messages_only)
                  AND NOT EXISTS (SELECT FROM turns AS t WHERE t.tenant_id = v.tenant_id AND t.id = v.turn_id
                                                           AND t.status = 'rolled_back')
                ORDER BY v."offset" DESC LIMIT rest
      LOOP
        RETURN NEXT e;
        rest := rest - 1;
        bytes := bytes - octet_length(e.data);
        EXIT WHEN bytes <= 0;
      END LOOP;
    ELSE
      ids := ids || this_log;
      lowers := lowers || greatest(p_after, coalesce(l.fork_offset, -1));
      uppers := uppers || upper;
    END IF;
    upper := least(upper, coalesce(l.fork_offset, -1));
    this_log := l.parent_id;
  END LOOP;

  at := cardinality(ids);
  WHILE at > 0 AND rest > 0 AND bytes > 0 LOOP
    FOR e IN SELECT v.* FROM events AS v
              WHERE v.tenant_id = p_tenant AND v.log_id = ids[at] AND v."offset" > lowers[at]
                AND v."offset" <= uppers[at]
                AND (v.kind = 'message' OR NOT p_messages_only)
                AND NOT EXISTS (SELECT FROM turns AS t WHERE t.tenant_id = v.tenant_id AND t.id = v.turn_id
                                                         AND t.status = 'rolled_back')
              ORDER BY v."offset" LIMIT rest
    LOOP
      RETURN NEXT e;
      rest := rest - 1;
      bytes := bytes - octet_length(e.data);
      EXIT WHEN bytes <= 0;
    END LOOP;
    at := at - 1;
  END LOOP;
END
$$;
COMMENT ON FUNCTION read_fork(text, uuid, bigint, bigint, bigint, bigint, boolean, boolean) IS
  'A part of a log that begins in others: offsets after < x < before, from either end, without what rolled-back turns wrote.';

CREATE FUNCTION count_hidden(p_tenant text, p_log uuid, p_through bigint) RETURNS bigint
LANGUAGE plpgsql STABLE
AS $$
DECLARE
  this_log   uuid := p_log;
  upper  bigint := p_through;
  hidden bigint := 0;
  last   record;
  l      record;
BEGIN
  WHILE this_log IS NOT NULL LOOP
    SELECT p.parent_id, p.fork_offset INTO l FROM logs AS p WHERE p.tenant_id = p_tenant AND p.id = this_log;
    -- Turns do not overlap: only the last one can go on behind the upper end.
    SELECT t.id, t.number, t.first_offset, t.messages INTO last FROM turns AS t
     WHERE t.tenant_id = p_tenant AND t.log_id = this_log AND t.status = 'rolled_back' AND t.first_offset <= upper
     ORDER BY t.first_offset DESC LIMIT 1;
    IF FOUND THEN
      hidden := hidden
        + (SELECT coalesce(sum(t.messages), 0) FROM turns AS t
            WHERE t.tenant_id = p_tenant AND t.log_id = this_log AND t.status = 'rolled_back'
              AND t.first_offset < last.first_offset)
        -- Of an erased session, what was hidden is gone: then the turn counts as a whole.
        + CASE WHEN EXISTS (SELECT FROM events AS e
                             WHERE e.tenant_id = p_tenant AND e.log_id = this_log AND e."offset" = last.first_offset)
          THEN (SELECT count(*) FROM (SELECT FROM events AS e
                                       WHERE e.tenant_id = p_tenant AND e.log_id = this_log
                                         AND e."offset" >= last.first_offset AND e."offset" <= upper
                                         AND e.turn_id = last.id AND e.kind = 'message'
                                       ORDER BY e."offset" LIMIT last.messages) AS of_last)
          ELSE last.messages END;
    END IF;
    upper := least(upper, l.fork_offset);
    this_log := l.parent_id;
  END LOOP;
  RETURN hidden;
END
$$;
COMMENT ON FUNCTION count_hidden(text, uuid, bigint) IS
  'Messages of a log, up to and including an offset, that rolled-back turns hide.';

CREATE FUNCTION find_fork_point(p_tenant text, p_log uuid, p_offset bigint, OUT log_id uuid, OUT messages bigint)
LANGUAGE plpgsql STABLE
AS $$
DECLARE
  this_log uuid := p_log;
  l    record;
BEGIN
  WHILE this_log IS NOT NULL LOOP
    SELECT p.parent_id, p.fork_offset INTO l FROM logs AS p WHERE p.tenant_id = p_tenant AND p.id = this_log;
    EXIT WHEN l.fork_offset IS NULL OR l.fork_offset < p_offset;
    this_log := l.parent_id;
  END LOOP;
  SELECT e.log_id, e.messages INTO find_fork_point.log_id, find_fork_point.messages FROM events AS e
   WHERE e.tenant_id = p_tenant AND e.log_id = this_log AND e."offset" = p_offset;
END
$$;
COMMENT ON FUNCTION find_fork_point(text, uuid, bigint) IS
  'The log that itself holds an offset of a log, and the messages up to there; nulls if there is no such event.';

-- ---- who shares a session, and which requests were answered ---------------------------------------------------------

CREATE TABLE participants (
  tenant_id  text COLLATE "C" NOT NULL,
  session_id uuid NOT NULL,
  user_id    text COLLATE "C" NOT NULL CHECK (char_length(user_id) BETWEEN 1 AND 255),
  role       text COLLATE "C" NOT NULL CHECK (role IN ('reader', 'writer')),
  added_at   timestamptz NOT NULL DEFAULT now(),
  PRIMARY KEY (tenant_id, session_id, user_id)
);
CREATE INDEX idx_participants_user_id ON participants (tenant_id, user_id);

COMMENT ON TABLE participants IS 'Users who share a session beside its owner.';
COMMENT ON COLUMN participants.tenant_id IS 'The owner, as in sessions.';
COMMENT ON COLUMN participants.session_id IS 'sessions.id.';
COMMENT ON COLUMN participants.user_id IS 'Who shares it.';
COMMENT ON COLUMN participants.role IS 'reader, or writer: who also appends and runs turns.';
COMMENT ON COLUMN participants.added_at IS 'Since when.';

CREATE TABLE idempotency_keys (
  tenant_id       text COLLATE "C" NOT NULL,
  session_id      uuid NOT NULL,
  scope           text COLLATE "C" NOT NULL,
  key             text COLLATE "C" NOT NULL,
  fingerprint     text COLLATE "C" NOT NULL,
  first_offset    bigint,
  count           bigint NOT NULL DEFAULT 0,
  turn_id         uuid,
  made_session_id uuid,
  created_at      timestamptz NOT NULL,
  PRIMARY KEY (tenant_id, session_id, scope, key)
);
CREATE INDEX idx_idempotency_keys_created_at ON idempotency_keys (created_at);
CREATE INDEX idx_idempotency_keys_session ON idempotency_keys (tenant_id, session_id, created_at DESC);
CREATE INDEX idx_idempotency_keys_made ON idempotency_keys (tenant_id, made_session_id)
  WHERE made_session_id IS NOT NULL;

COMMENT ON TABLE idempotency_keys IS 'Requests that may be repeated, each with what its first answer is made of.';
COMMENT ON COLUMN idempotency_keys.tenant_id IS 'The owner, as in sessions.';
COMMENT ON COLUMN idempotency_keys.session_id IS 'The session that was asked; all zero where none was: scope create.';
COMMENT ON COLUMN idempotency_keys.scope IS 'What kind of request: create, fork, append, turn.';
COMMENT ON COLUMN idempotency_keys.key IS 'As the caller gave it.';
COMMENT ON COLUMN idempotency_keys.fingerprint IS 'A digest of the request: another one under the same key is refused.';
COMMENT ON COLUMN idempotency_keys.first_offset IS 'Of an append: its first event''s.';
COMMENT ON COLUMN idempotency_keys.count IS 'Of an append: how many events.';
COMMENT ON COLUMN idempotency_keys.turn_id IS 'The turn that was started.';
COMMENT ON COLUMN idempotency_keys.made_session_id IS 'The session that was made.';
COMMENT ON COLUMN idempotency_keys.created_at IS 'When the first answer was given; forgotten some time after.';

-- ---- erasing --------------------------------------------------------------------------------------------------------

CREATE TABLE erasures (
  tenant_id             text COLLATE "C" NOT NULL,
  session_id            uuid NOT NULL,
  log_id                uuid NOT NULL,
  user_id               text COLLATE "C" NOT NULL,
  requested_at          timestamptz NOT NULL DEFAULT clock_timestamp(),
  own_log               boolean NOT NULL DEFAULT true,
  kept_through          bigint,
  erased_through        bigint,
  hidden_through        bigint,
  hidden                bigint NOT NULL DEFAULT 0,
  events                bigint NOT NULL DEFAULT 0,
  turns                 bigint NOT NULL DEFAULT 0,
  idempotency_keys      bigint NOT NULL DEFAULT 0,
  participants          bigint NOT NULL DEFAULT 0,
  events_kept_for_forks bigint NOT NULL DEFAULT 0,
  PRIMARY KEY (tenant_id, session_id)
);
CREATE INDEX idx_erasures_requested_at ON erasures (requested_at);

COMMENT ON TABLE erasures IS 'Sessions that are hidden for good and not yet wholly erased; the row goes when that is done.';
COMMENT ON COLUMN erasures.tenant_id IS 'The owner, as in sessions.';
COMMENT ON COLUMN erasures.session_id IS 'The session''s id.';
COMMENT ON COLUMN erasures.log_id IS 'The log being erased: the session''s, then those above that only it still showed.';
COMMENT ON COLUMN erasures.user_id IS 'Whose session it was.';
COMMENT ON COLUMN erasures.requested_at IS 'When the session was hidden.';
COMMENT ON COLUMN erasures.own_log IS 'Whether log_id is still the session''s own.';
COMMENT ON COLUMN erasures.kept_through IS 'The last offset of log_id that a fork shows, when last looked; -1 if none.';
COMMENT ON COLUMN erasures.erased_through IS 'Nothing behind kept_through and up to here is left.';
COMMENT ON COLUMN erasures.hidden_through IS 'Nothing that rolled-back turns hide is left up to here.';
COMMENT ON COLUMN erasures.hidden IS 'How much that was: it is among the events erased so far.';
COMMENT ON COLUMN erasures.events IS 'Erased so far.';
COMMENT ON COLUMN erasures.turns IS 'Erased so far.';
COMMENT ON COLUMN erasures.idempotency_keys IS 'Erased so far.';
COMMENT ON COLUMN erasures.participants IS 'Erased so far.';
COMMENT ON COLUMN erasures.events_kept_for_forks IS 'Events of the session''s own that its forks still show.';

-- ---- who may do what ------------------------------------------------------------------------------------------------

ALTER TABLE logs ENABLE ROW LEVEL SECURITY;
ALTER TABLE logs FORCE ROW LEVEL SECURITY;
CREATE POLICY logs_of_tenants ON logs TO colloquy_service
  USING (coalesce(tenant_id, '') = ANY ((SELECT current_tenants())::text[]))
  WITH CHECK (coalesce(tenant_id, '') = ANY ((SELECT current_tenants())::text[]));
CREATE POLICY logs_for_system ON logs TO colloquy_system USING (true) WITH CHECK (true);

ALTER TABLE participants ENABLE ROW LEVEL SECURITY;
ALTER TABLE participants FORCE ROW LEVEL SECURITY;
CREATE POLICY participants_of_tenants ON participants TO colloquy_service
  USING (coalesce(tenant_id, '') = ANY ((SELECT current_tenants())::text[]))
  WITH CHECK (coalesce(tenant_id, '') = ANY ((SELECT current_tenants())::text[]));
CREATE POLICY participants_for_system ON participants TO colloquy_system USING (true) WITH CHECK (true);

ALTER TABLE idempotency_keys ENABLE ROW LEVEL SECURITY;
ALTER TABLE idempotency_keys FORCE ROW LEVEL SECURITY;
CREATE POLICY idempotency_keys_of_tenants ON idempotency_keys TO colloquy_service
  USING (coalesce(tenant_id, '') = ANY ((SELECT current_tenants())::text[]))
  WITH CHECK (coalesce(tenant_id, '') = ANY ((SELECT current_tenants())::text[]));
CREATE POLICY idempotency_keys_for_system ON idempotency_keys TO colloquy_system USING (true) WITH CHECK (true);

ALTER TABLE erasures ENABLE ROW LEVEL SECURITY;
ALTER TABLE erasures FORCE ROW LEVEL SECURITY;
CREATE POLICY erasures_of_tenants ON erasures TO colloquy_service
  USING (coalesce(tenant_id, '') = ANY ((SELECT current_tenants())::text[]))
  WITH CHECK (coalesce(tenant_id, '') = ANY ((SELECT current_tenants())::text[]));
CREATE POLICY erasures_for_system ON erasures TO colloquy_system USING (true) WITH CHECK (true);

CREATE POLICY events_for_system ON events TO colloquy_system USING (true) WITH CHECK (true);
CREATE POLICY turns_for_system ON turns TO colloquy_system USING (true) WITH CHECK (true);

REVOKE ALL ON logs, participants, idempotency_keys, erasures FROM PUBLIC;
GRANT DELETE ON sessions TO colloquy_service;
GRANT SELECT, INSERT, UPDATE (has_session) ON logs TO colloquy_service;
GRANT SELECT, INSERT, UPDATE (role), DELETE ON participants TO colloquy_service;
GRANT SELECT, INSERT, UPDATE, DELETE ON idempotency_keys TO colloquy_service;
GRANT INSERT ON erasures TO colloquy_service;

-- The system erases, and adds the status event of an expiry: it sees where rows are, not what they say.
GRANT SELECT (log_id) ON sessions TO colloquy_system;
GRANT SELECT (tenant_id, log_id, "offset", kind, turn_id, messages, author),
      INSERT (tenant_id, log_id, "offset", created_at, kind, data, messages), UPDATE (author), DELETE
   ON events TO colloquy_system;
GRANT SELECT (tenant_id, session_id, number, id, status, log_id, first_offset), DELETE ON turns TO colloquy_system;
GRANT SELECT, UPDATE (has_session), DELETE ON logs TO colloquy_system;
GRANT SELECT (tenant_id, session_id, user_id), DELETE ON participants TO colloquy_system;
GRANT SELECT (tenant_id, session_id, scope, key, made_session_id, created_at), DELETE
   ON idempotency_keys TO colloquy_system;
GRANT SELECT, UPDATE, DELETE ON erasures TO colloquy_system;

REVOKE EXECUTE ON FUNCTION shard_of(uuid),
                           add_forks(text[], uuid[], uuid[], uuid[], bigint[], bigint[]),
                           read_fork(text, uuid, bigint, bigint, bigint, bigint, boolean, boolean),
                           count_hidden(text, uuid, bigint), find_fork_point(text, uuid, bigint) FROM PUBLIC;
GRANT EXECUTE ON FUNCTION shard_of(uuid) TO colloquy_service, colloquy_system;
GRANT EXECUTE ON FUNCTION add_forks(text[], uuid[], uuid[], uuid[], bigint[], bigint[]),
                          read_fork(text, uuid, bigint, bigint, bigint, bigint, boolean, boolean),
                          count_hidden(text, uuid, bigint), find_fork_point(text, uuid, bigint) TO colloquy_service;
