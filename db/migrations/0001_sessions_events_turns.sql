-- Sessions, their append-only logs of events, their turns, and the writers that fill them.
--
-- Unqualified names: the migrator sets search_path to the configured schema. The roles colloquy_service and
-- colloquy_system exist by then. Every table has row level security, forced, so that even the owner sees nothing
-- without a policy; the service sees the rows of the tenants that its transaction has set.

CREATE FUNCTION current_tenants() RETURNS text[]
LANGUAGE sql STABLE PARALLEL SAFE
AS $$ SELECT string_to_array(current_setting('colloquy.tenants', true), ',') $$;
COMMENT ON FUNCTION current_tenants() IS
  'The tenants that this transaction has set (colloquy.tenants, comma-separated); none if it has set none.';

CREATE FUNCTION set_updated_at() RETURNS trigger
LANGUAGE plpgsql
AS $$
BEGIN
  NEW.updated_at := clock_timestamp();
  RETURN NEW;
END
$$;
COMMENT ON FUNCTION set_updated_at() IS 'Trigger: stamps updated_at on every change of a row.';

CREATE TABLE sessions (
  tenant_id    text COLLATE "C" NOT NULL,
  id           uuid NOT NULL,
  log_id       uuid NOT NULL,
  user_id      text COLLATE "C" NOT NULL CHECK (char_length(user_id) BETWEEN 1 AND 255),
  agent_id     text COLLATE "C" CHECK (char_length(agent_id) BETWEEN 1 AND 255),
  external_id  text COLLATE "C" CHECK (char_length(external_id) BETWEEN 1 AND 255),
  title        text CHECK (char_length(title) <= 1000),
  status       text COLLATE "C" NOT NULL DEFAULT 'active'
               CHECK (status IN ('active', 'paused', 'completed', 'expired')),
  created_at   timestamptz NOT NULL DEFAULT now(),
  updated_at   timestamptz NOT NULL DEFAULT now(),
  expires_at   timestamptz,
  turn_count   bigint NOT NULL DEFAULT 0 CHECK (turn_count >= 0),
  total_tokens bigint NOT NULL DEFAULT 0 CHECK (total_tokens >= 0),
  version      bigint NOT NULL DEFAULT 1,
  parent_id    uuid,
  fork_offset  bigint CHECK (fork_offset >= 0),
  metadata     jsonb NOT NULL DEFAULT '{}',
  PRIMARY KEY (tenant_id, id)
) WITH (fillfactor = 80); -- a turn's end updates its counters in place, beside the old row

CREATE UNIQUE INDEX idx_sessions_external_id ON sessions (tenant_id, external_id) WHERE external_id IS NOT NULL;
CREATE INDEX idx_sessions_user_id ON sessions (tenant_id, user_id, created_at DESC, id DESC);
CREATE INDEX idx_sessions_status ON sessions (tenant_id, status, created_at DESC, id DESC);
CREATE INDEX idx_sessions_created_at ON sessions (tenant_id, created_at DESC, id DESC);
CREATE INDEX idx_sessions_expires_at ON sessions (expires_at) WHERE status <> 'expired';
CREATE INDEX idx_sessions_user_status ON sessions (tenant_id, user_id, status, created_at DESC, id DESC);

CREATE TRIGGER sessions_updated_at BEFORE UPDATE ON sessions
  FOR EACH ROW EXECUTE FUNCTION set_updated_at();

COMMENT ON TABLE sessions IS 'One row a conversation: its life, its owner, its counters. Its log is in events.';
COMMENT ON COLUMN sessions.tenant_id IS 'The customer of the host who owns the row; first in every key.';
COMMENT ON COLUMN sessions.id IS 'UUIDv7, made by the service.';
COMMENT ON COLUMN sessions.log_id IS 'The log that this session appends to.';
COMMENT ON COLUMN sessions.user_id IS 'Whose conversation it is.';
COMMENT ON COLUMN sessions.agent_id IS 'The agent that takes part, if the caller said.';
COMMENT ON COLUMN sessions.external_id IS 'The caller''s own name for the session, unique within the tenant.';
COMMENT ON COLUMN sessions.title IS 'For people.';
COMMENT ON COLUMN sessions.status IS 'active, paused, completed or expired.';
COMMENT ON COLUMN sessions.created_at IS 'When the session was made.';
COMMENT ON COLUMN sessions.updated_at IS 'When this row last changed; kept by a trigger. An append does not change it.';
COMMENT ON COLUMN sessions.expires_at IS 'After this the session is expired; null: never.';
COMMENT ON COLUMN sessions.turn_count IS 'Turns completed or failed; written with the turn''s end.';
COMMENT ON COLUMN sessions.total_tokens IS 'Sum of the usage given at the end of turns.';
COMMENT ON COLUMN sessions.version IS 'Counts the changes asked for by callers.';
COMMENT ON COLUMN sessions.parent_id IS 'The session that this one was forked from.';
COMMENT ON COLUMN sessions.fork_offset IS 'The last offset shared with parent_id.';
COMMENT ON COLUMN sessions.metadata IS 'The caller''s own JSON object.';

-- No foreign key to sessions: it made an insert 1.8 times slower, and the session's row is durable before its first event.
CREATE TABLE events (
  tenant_id     text COLLATE "C" NOT NULL,
  log_id        uuid NOT NULL,
  "offset"      bigint NOT NULL CHECK ("offset" >= 0),
  created_at    timestamptz NOT NULL,
  kind          text COLLATE "C" NOT NULL CHECK (kind IN ('message', 'tool', 'status', 'custom')),
  role          text COLLATE "C" CHECK (role IN ('system', 'user', 'assistant', 'tool')),
  turn_id       uuid,
  tokens        integer CHECK (tokens >= 0),
  tool_call_id  text COLLATE "C",
  tool_call_ids text[],
  source        text,
  trace_id      text COLLATE "C",
  data          text NOT NULL,
  PRIMARY KEY (tenant_id, log_id, "offset")
);

COMMENT ON TABLE events IS 'Append-only logs: gap-free offsets from 0 within a log.';
COMMENT ON COLUMN events.tenant_id IS 'The owner, as in sessions.';
COMMENT ON COLUMN events.log_id IS 'sessions.log_id of the session that wrote it.';
COMMENT ON COLUMN events."offset" IS 'Position in the log, from 0, without a gap.';
COMMENT ON COLUMN events.created_at IS 'When the session accepted it.';
COMMENT ON COLUMN events.kind IS 'message, tool, status or custom.';
COMMENT ON COLUMN events.role IS 'Of a message: system, user, assistant or tool.';
COMMENT ON COLUMN events.turn_id IS 'The turn that wrote it, if it was written inside one.';
COMMENT ON COLUMN events.tokens IS 'The caller''s count of a message''s tokens, if given.';
COMMENT ON COLUMN events.tool_call_id IS 'Of a tool''s message: the call that it answers.';
COMMENT ON COLUMN events.tool_call_ids IS 'Of an assistant''s message: the calls that it makes.';
COMMENT ON COLUMN events.source IS 'Who or what wrote it, as the caller names it.';
COMMENT ON COLUMN events.trace_id IS 'The caller''s trace.';
COMMENT ON COLUMN events.data IS 'JSON exactly as it came: text, because jsonb rewrites numbers.';

CREATE TABLE turns (
  tenant_id        text COLLATE "C" NOT NULL,
  session_id       uuid NOT NULL,
  number           bigint NOT NULL CHECK (number >= 1),
  id               uuid NOT NULL,
  status           text COLLATE "C" NOT NULL
                   CHECK (status IN ('queued', 'running', 'completed', 'failed', 'cancelled', 'interrupted',
                                     'rolled_back', 'lost')),
  trace_id         text COLLATE "C",
  started_at       timestamptz NOT NULL,
  ended_at         timestamptz,
  lease_expires_at timestamptz,
  input_tokens     bigint CHECK (input_tokens >= 0),
  output_tokens    bigint CHECK (output_tokens >= 0),
  PRIMARY KEY (tenant_id, session_id, number)
) WITH (fillfactor = 80); -- a turn's row is written at its start and again at its end

COMMENT ON TABLE turns IS 'One row a run of the agent in a session; at most one of a session runs.';
COMMENT ON COLUMN turns.tenant_id IS 'The owner, as in sessions.';
COMMENT ON COLUMN turns.session_id IS 'sessions.id.';
COMMENT ON COLUMN turns.number IS 'Counts the turns of a session from 1.';
COMMENT ON COLUMN turns.id IS 'UUIDv7, made by the service.';
COMMENT ON COLUMN turns.status IS 'queued, running, or how it ended.';
COMMENT ON COLUMN turns.trace_id IS 'The trace that the run belongs to.';
COMMENT ON COLUMN turns.started_at IS 'When the turn was granted.';
COMMENT ON COLUMN turns.ended_at IS 'When it ended; null while it runs.';
COMMENT ON COLUMN turns.lease_expires_at IS 'When a running turn is lost unless renewed.';
COMMENT ON COLUMN turns.input_tokens IS 'Usage given at its end.';
COMMENT ON COLUMN turns.output_tokens IS 'Usage given at its end.';

CREATE TABLE writers (
  process_id  uuid NOT NULL,
  writer      smallint NOT NULL,
  epoch       bigint NOT NULL,
  seq         bigint NOT NULL,
  backend_pid integer NOT NULL,
  claimed_at  timestamptz NOT NULL DEFAULT now(),
  PRIMARY KEY (process_id, writer)
) WITH (fillfactor = 50); -- advanced by every batch

COMMENT ON TABLE writers IS 'One row a writer: the fence that every batch passes first.';
COMMENT ON COLUMN writers.process_id IS 'The running service that the writer belongs to.';
COMMENT ON COLUMN writers.writer IS 'Which of its writers, from 0.';
COMMENT ON COLUMN writers.epoch IS 'Raised whenever the writer is claimed anew; a batch of an older epoch is refused.';
COMMENT ON COLUMN writers.seq IS 'The last batch that committed.';
COMMENT ON COLUMN writers.backend_pid IS 'The server process that carries its batches.';
COMMENT ON COLUMN writers.claimed_at IS 'When it was last claimed.';

-- A batch's first statement. It must raise, because an UPDATE that matches nothing would not stop the batch.
CREATE FUNCTION begin_batch(p_process uuid, p_writer smallint, p_epoch bigint, p_seq bigint, p_tenants text)
RETURNS void
LANGUAGE plpgsql
AS $$
BEGIN
  PERFORM set_config('colloquy.tenants', p_tenants, true);
  UPDATE writers SET seq = p_seq
   WHERE process_id = p_process AND writer = p_writer AND epoch = p_epoch AND seq = p_seq - 1;
  IF NOT FOUND THEN
    RAISE EXCEPTION 'batch % of epoch % does not follow what writer % of process % has committed',
      p_seq, p_epoch, p_writer, p_process USING ERRCODE = 'CQ001';
  END IF;
END
$$;
COMMENT ON FUNCTION begin_batch(uuid, smallint, bigint, bigint, text) IS
  'Sets the tenants of a batch and advances its writer from seq - 1 to seq within the epoch, or raises CQ001.';

-- The row lock waits for a batch of the old epoch that is under way; after this none of the old epoch can commit.
CREATE FUNCTION claim_writer(p_process uuid, p_writer smallint, p_expected_epoch bigint,
                             OUT epoch bigint, OUT seq bigint, OUT backend_pid integer)
LANGUAGE plpgsql
AS $$
BEGIN
  IF p_expected_epoch = 0 THEN
    INSERT INTO writers AS w (process_id, writer, epoch, seq, backend_pid)
    VALUES (p_process, p_writer, 1, 0, pg_backend_pid())
    RETURNING w.epoch, w.seq, w.backend_pid INTO claim_writer.epoch, claim_writer.seq, claim_writer.backend_pid;
    RETURN;
  END IF;
  UPDATE writers AS w SET epoch = w.epoch + 1, backend_pid = pg_backend_pid(), claimed_at = now()
   WHERE w.process_id = p_process AND w.writer = p_writer AND w.epoch = p_expected_epoch
  RETURNING w.epoch, w.seq, w.backend_pid INTO claim_writer.epoch, claim_writer.seq, claim_writer.backend_pid;
  IF NOT FOUND THEN
    RAISE EXCEPTION 'writer % of process % is no longer at epoch %', p_writer, p_process, p_expected_epoch
      USING ERRCODE = 'CQ001';
  END IF;
END
$$;
COMMENT ON FUNCTION claim_writer(uuid, smallint, bigint) IS
  'Makes the writer''s row (expected epoch 0) or raises its epoch, for this backend; raises CQ001 if another was faster.';

CREATE FUNCTION cleanup_expired_sessions(now timestamptz DEFAULT now()) RETURNS bigint
LANGUAGE plpgsql
AS $$
DECLARE
  marked bigint;
BEGIN
  UPDATE sessions AS s SET status = 'expired'
   WHERE s.expires_at <= cleanup_expired_sessions.now AND s.status <> 'expired';
  GET DIAGNOSTICS marked = ROW_COUNT;
  RETURN marked;
END
$$;
COMMENT ON FUNCTION cleanup_expired_sessions(timestamptz) IS
  'Marks the sessions that are overdue at the given time as expired and returns how many; for colloquy_system.';

CREATE VIEW conversations WITH (security_invoker = true) AS
  SELECT s.tenant_id, s.log_id AS id, s.id AS session_id, s.external_id, s.title, s.created_at, s.updated_at,
         s.expires_at, s.metadata
    FROM sessions AS s;
COMMENT ON VIEW conversations IS 'Sessions as conversations: id (of the log), session_id, external id, title, times, metadata.';

-- The scalar subquery is evaluated once a statement, not once a row. coalesce() keeps the planner from using the policy as
-- an index condition: it would descend the index once for each tenant that a batch has set. Every statement names its
-- tenant itself.
ALTER TABLE sessions ENABLE ROW LEVEL SECURITY;
ALTER TABLE sessions FORCE ROW LEVEL SECURITY;
CREATE POLICY sessions_of_tenants ON sessions TO colloquy_service
  USING (coalesce(tenant_id, '') = ANY ((SELECT current_tenants())::text[]))
  WITH CHECK (coalesce(tenant_id, '') = ANY ((SELECT current_tenants())::text[]));
CREATE POLICY sessions_for_system ON sessions TO colloquy_system USING (true) WITH CHECK (true);

ALTER TABLE events ENABLE ROW LEVEL SECURITY;
ALTER TABLE events FORCE ROW LEVEL SECURITY;
CREATE POLICY events_of_tenants ON events TO colloquy_service
  USING (coalesce(tenant_id, '') = ANY ((SELECT current_tenants())::text[]))
  WITH CHECK (coalesce(tenant_id, '') = ANY ((SELECT current_tenants())::text[]));

ALTER TABLE turns ENABLE ROW LEVEL SECURITY;
ALTER TABLE turns FORCE ROW LEVEL SECURITY;
CREATE POLICY turns_of_tenants ON turns TO colloquy_service
  USING (coalesce(tenant_id, '') = ANY ((SELECT current_tenants())::text[]))
  WITH CHECK (coalesce(tenant_id, '') = ANY ((SELECT current_tenants())::text[]));

-- Holds no tenant's data: the fence of the service itself.
ALTER TABLE writers ENABLE ROW LEVEL SECURITY;
ALTER TABLE writers FORCE ROW LEVEL SECURITY;
CREATE POLICY writers_of_service ON writers TO colloquy_service USING (true) WITH CHECK (true);

-- Least rights: events can be added and read, never changed.
REVOKE ALL ON sessions, events, turns, writers, conversations FROM PUBLIC;
GRANT SELECT, INSERT, UPDATE ON sessions TO colloquy_service;
GRANT SELECT, INSERT ON events TO colloquy_service;
GRANT SELECT, INSERT, UPDATE ON turns TO colloquy_service;
GRANT SELECT, INSERT, UPDATE, DELETE ON writers TO colloquy_service;
GRANT SELECT ON conversations TO colloquy_service;
GRANT SELECT (tenant_id, id, status, expires_at), UPDATE (status, updated_at) ON sessions TO colloquy_system;

REVOKE EXECUTE ON FUNCTION begin_batch(uuid, smallint, bigint, bigint, text),
                           claim_writer(uuid, smallint, bigint),
                           cleanup_expired_sessions(timestamptz),
                           current_tenants(), set_updated_at() FROM PUBLIC;
GRANT EXECUTE ON FUNCTION begin_batch(uuid, smallint, bigint, bigint, text),
                          claim_writer(uuid, smallint, bigint), current_tenants() TO colloquy_service;
GRANT EXECUTE ON FUNCTION cleanup_expired_sessions(timestamptz) TO colloquy_system;
