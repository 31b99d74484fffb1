-- Which process owns which sessions, and what is done for all tenants as time passes: marking what has expired, erasing.
--
-- Processes and shards hold no tenant's data. Whoever gives or takes shards locks the table `shards` first, then rows of
-- `processes` by process_id, so that two at once cannot deadlock. A renewal locks its own process' row only.

CREATE TABLE processes (
  process_id    uuid PRIMARY KEY,
  machine       text NOT NULL,
  pid           bigint NOT NULL,
  started_ticks bigint NOT NULL,
  started_at    timestamptz NOT NULL DEFAULT clock_timestamp(),
  renewed_at    timestamptz NOT NULL DEFAULT clock_timestamp(),
  ended_at      timestamptz,
  lost_at       timestamptz
) WITH (fillfactor = 50); -- renewed every other second
CREATE INDEX idx_processes_live ON processes (process_id) WHERE ended_at IS NULL AND lost_at IS NULL;

COMMENT ON TABLE processes IS 'Running services, and those that ran.';
COMMENT ON COLUMN processes.process_id IS 'Made anew by each start, and when it was lost.';
COMMENT ON COLUMN processes.machine IS 'Boot id and process namespace; empty if unknown.';
COMMENT ON COLUMN processes.pid IS 'Its number there.';
COMMENT ON COLUMN processes.started_ticks IS 'When that pid was started, by its machine''s clock.';
COMMENT ON COLUMN processes.started_at IS 'When it registered, by the database''s clock, as all the times here.';
COMMENT ON COLUMN processes.renewed_at IS 'When it was last heard of.';
COMMENT ON COLUMN processes.ended_at IS 'When it gave everything up in order: its turns keep their leases.';
COMMENT ON COLUMN processes.lost_at IS 'When another took over from it: it is not heard of any more, and writes nothing.';

CREATE TABLE shards (
  shard               smallint PRIMARY KEY CHECK (shard BETWEEN 0 AND 1023),
  process_id          uuid,
  previous_process_id uuid,
  since               timestamptz NOT NULL DEFAULT clock_timestamp()
);
CREATE INDEX idx_shards_process_id ON shards (process_id);
INSERT INTO shards (shard) SELECT generate_series(0, 1023);

COMMENT ON TABLE shards IS 'Who owns the sessions: shard_of(sessions.id).';
COMMENT ON COLUMN shards.shard IS '0 to 1023.';
COMMENT ON COLUMN shards.process_id IS 'The owner; null: nobody.';
COMMENT ON COLUMN shards.previous_process_id IS 'The owner before.';
COMMENT ON COLUMN shards.since IS 'When the owner changed.';

-- As in the first migration, but never for a process that was lost or has ended. A take-over locks the process' row FOR
-- UPDATE before it looks for its writers: either it sees this claim, or the claim sees that the process was lost.
CREATE OR REPLACE FUNCTION claim_writer(p_process uuid, p_writer smallint, p_expected_epoch bigint,
                                        OUT epoch bigint, OUT seq bigint, OUT backend_pid integer)
LANGUAGE plpgsql
AS $$
DECLARE
  is_over boolean;
BEGIN
  SELECT p.lost_at IS NOT NULL OR p.ended_at IS NOT NULL INTO is_over
    FROM processes AS p WHERE p.process_id = p_process FOR KEY SHARE;
  IF is_over THEN
    RAISE EXCEPTION 'process % has ended, or another has taken over from it', p_process USING ERRCODE = 'CQ001';
  END IF;
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
  'Makes the writer''s row (expected epoch 0) or raises its epoch, for this backend; raises CQ001 if another was faster '
  'or has taken over from the process.';

-- The first half of taking over: between the halves the login role ends the backends, which it alone may do.
CREATE FUNCTION begin_takeover(p_process uuid, p_dead uuid[]) RETURNS void
LANGUAGE plpgsql
AS $$
DECLARE
  lost uuid[];
  gone uuid[];
BEGIN
  LOCK TABLE shards IN SHARE ROW EXCLUSIVE MODE;
  UPDATE processes SET renewed_at = clock_timestamp()
   WHERE process_id = p_process AND lost_at IS NULL AND ended_at IS NULL;
  IF NOT FOUND THEN
    RAISE EXCEPTION 'process % has ended, or another has taken over from it', p_process USING ERRCODE = 'CQ001';
  END IF;
  -- A renewal that is under way is waited for, and then counts.
  lost := ARRAY(
    SELECT p.process_id FROM processes AS p
     WHERE p.process_id IN (SELECT s.process_id FROM shards AS s WHERE s.process_id <> p_process)
       AND p.lost_at IS NULL AND p.ended_at IS NULL
       AND (p.process_id = ANY (p_dead)
            OR greatest(p.renewed_at, pg_postmaster_start_time()) < clock_timestamp() - interval '10 seconds')
     ORDER BY p.process_id FOR UPDATE);
  UPDATE processes SET lost_at = clock_timestamp() WHERE process_id = ANY (lost);
  gone := ARRAY(
    SELECT DISTINCT s.process_id FROM shards AS s
     WHERE s.process_id <> p_process
       AND NOT EXISTS (SELECT FROM processes AS p WHERE p.process_id = s.process_id AND p.lost_at IS NULL
                                                    AND p.ended_at IS NULL));
  PERFORM set_config('colloquy.taken_from', gone::text, true),
          set_config('colloquy.backends_to_end',
                     ARRAY(SELECT w.backend_pid FROM writers AS w WHERE w.process_id = ANY (gone))::text, true);
END
$$;
COMMENT ON FUNCTION begin_takeover(uuid, uuid[]) IS
  'Marks as lost the owners of shards that did not renew in time or are known to be dead, and sets for the rest of the '
  'transaction whose shards are free and which backends their writers have. Raises CQ001 if the process is lost itself.';

CREATE FUNCTION finish_takeover(p_process uuid) RETURNS TABLE (shard smallint, previous_process_id uuid)
LANGUAGE plpgsql
AS $$
DECLARE
  gone uuid[] := current_setting('colloquy.taken_from')::uuid[];
BEGIN
  UPDATE writers AS w SET epoch = w.epoch + 1 WHERE w.process_id = ANY (gone);
  RETURN QUERY
    UPDATE shards AS s
       SET previous_process_id = coalesce(s.process_id, s.previous_process_id), process_id = p_process,
           since = clock_timestamp()
     WHERE s.process_id IS NULL OR s.process_id = ANY (gone)
    RETURNING s.shard, s.previous_process_id;
END
$$;
COMMENT ON FUNCTION finish_takeover(uuid) IS
  'Raises the epochs of the writers from whom begin_takeover takes over, and hands their shards and those of nobody to '
  'the process: which, and whose each was last.';

CREATE FUNCTION end_process(p_process uuid) RETURNS void
LANGUAGE plpgsql
AS $$
BEGIN
  LOCK TABLE shards IN SHARE ROW EXCLUSIVE MODE;
  UPDATE processes SET ended_at = clock_timestamp()
   WHERE process_id = p_process AND ended_at IS NULL AND lost_at IS NULL;
  UPDATE shards SET previous_process_id = process_id, process_id = NULL, since = clock_timestamp()
   WHERE process_id = p_process;
  DELETE FROM writers WHERE process_id = p_process;
END
$$;
COMMENT ON FUNCTION end_process(uuid) IS 'A process that has written everything gives up its shards and its writers.';

-- ---- expiry ---------------------------------------------------------------------------------------------------------

DROP FUNCTION cleanup_expired_sessions(timestamptz);

-- The locked shards cannot change hands before this commits, so nobody else writes at the end of these logs.
CREATE FUNCTION cleanup_expired_sessions(p_process uuid, p_now timestamptz, p_tenants text[], p_sessions uuid[])
RETURNS bigint
LANGUAGE plpgsql
AS $$
DECLARE
  owned  smallint[];
  marked bigint := 0;
  s      record;
  l      record;
  last   record;
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
    VALUES (s.tenant_id, s.log_id, coalesce(last."offset", l.fork_offset, -1) + 1, p_now, 'status',
            '{"status":"expired"}', coalesce(last.messages, l.messages, 0));
    marked := marked + 1;
  END LOOP;
  RETURN marked;
END
$$;
COMMENT ON FUNCTION cleanup_expired_sessions(uuid, timestamptz, text[], uuid[]) IS
  'Marks those of the sessions that are overdue at the given time, and whose shards the process owns, as expired, each '
  'with a status event at the end of its log; returns how many. For colloquy_system.';

-- ---- erasing --------------------------------------------------------------------------------------------------------

-- One step. The log being erased is locked before it is looked whether forks show it (add_forks locks it too), and one
-- step locks one log only: the one above is the next step's. Of two siblings the one that comes later finds no fork.
CREATE FUNCTION erase_step(p_tenant text, p_session uuid, p_rows bigint)
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
  ELSE
    UPDATE erasures AS r
       SET log_id = e.log_id, own_log = e.own_log, kept_through = e.kept_through, erased_through = e.erased_through,
           hidden_through = e.hidden_through, hidden = e.hidden, events = e.events, turns = e.turns, idempotency_keys = e.idempotency_keys, participants = e.participants,
           events_kept_for_forks = e.events_kept_for_forks
     WHERE r.tenant_id = p_tenant AND r.session_id = p_session;
  END IF;
  RETURN QUERY SELECT done, e.events, e.turns, e.idempotency_keys, e.participants, e.events_kept_for_forks;
END
$$;
COMMENT ON FUNCTION erase_step(text, uuid, bigint) IS
  'Takes away about so many rows of a session that is being erased; tells whether that was all, and how much it was in '
  'all steps together. No row: nothing to erase. For colloquy_system.';

-- ---- who may do what ------------------------------------------------------------------------------------------------

ALTER TABLE processes ENABLE ROW LEVEL SECURITY;
ALTER TABLE processes FORCE ROW LEVEL SECURITY;
CREATE POLICY processes_of_service ON processes TO colloquy_service USING (true) WITH CHECK (true);
CREATE POLICY processes_for_system ON processes TO colloquy_system USING (true) WITH CHECK (true);

CREATE POLICY shards_of_service ON shards FOR SELECT TO colloquy_service USING (true);
CREATE POLICY shards_for_system ON shards TO colloquy_system USING (true) WITH CHECK (true);
ALTER TABLE shards ENABLE ROW LEVEL SECURITY;
ALTER TABLE shards FORCE ROW LEVEL SECURITY;

CREATE POLICY writers_for_system ON writers TO colloquy_system USING (true) WITH CHECK (true);

REVOKE ALL ON processes, shards FROM PUBLIC;
GRANT SELECT, INSERT (process_id, machine, pid, started_ticks), UPDATE (renewed_at) ON processes TO colloquy_service;
GRANT SELECT ON shards TO colloquy_service;
GRANT SELECT, UPDATE (renewed_at, ended_at, lost_at), DELETE ON processes TO colloquy_system;
GRANT SELECT, UPDATE ON shards TO colloquy_system; -- LOCK TABLE takes no right to single columns
GRANT SELECT (process_id, epoch, backend_pid), UPDATE (epoch), DELETE ON writers TO colloquy_system;

REVOKE EXECUTE ON FUNCTION begin_takeover(uuid, uuid[]), finish_takeover(uuid), end_process(uuid),
                           cleanup_expired_sessions(uuid, timestamptz, text[], uuid[]),
                           erase_step(text, uuid, bigint) FROM PUBLIC;
GRANT EXECUTE ON FUNCTION begin_takeover(uuid, uuid[]), finish_takeover(uuid), end_process(uuid),
                          cleanup_expired_sessions(uuid, timestamptz, text[], uuid[]),
                          erase_step(text, uuid, bigint) TO colloquy_system;
