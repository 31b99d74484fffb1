-- Events that are deleted from a session's view, while its log keeps them.
--
-- As in the migrations before: unqualified names, row level security forced on every table, policies with coalesce(), no
-- right that is not needed.

-- ---- deleted events -------------------------------------------------------------------------------------------------

CREATE TABLE deleted_events (
  tenant_id    text COLLATE "C" NOT NULL,
  session_id   uuid NOT NULL,
  first_offset bigint NOT NULL CHECK (first_offset >= 0),
  last_offset  bigint NOT NULL,
  messages     bigint NOT NULL,
  PRIMARY KEY (tenant_id, session_id, last_offset),
  CHECK (first_offset <= last_offset)
);
CREATE INDEX idx_deleted_events_long ON deleted_events (tenant_id, session_id, last_offset)
  WHERE last_offset - first_offset >= 100;

COMMENT ON TABLE deleted_events IS
  'Events that a session does not show any more, its log keeping them at their offsets: ranges, of which no two of a '
  'session overlap or touch. By session, because logs are shared: a fork shows what another session has deleted since.';
COMMENT ON COLUMN deleted_events.tenant_id IS 'The owner, as in sessions.';
COMMENT ON COLUMN deleted_events.session_id IS 'sessions.id: in whose view.';
COMMENT ON COLUMN deleted_events.first_offset IS 'From here';
COMMENT ON COLUMN deleted_events.last_offset IS 'to here, both included.';
COMMENT ON COLUMN deleted_events.messages IS 'Messages among them that were shown before: without those of rolled-back turns.';

-- From the messages' own numbers. An event that is not there any more was hidden by a rolled-back turn of a session that
-- has been erased since, so the one before it tells as much.
CREATE FUNCTION shown_messages(p_tenant text, p_log uuid, p_through bigint) RETURNS bigint
LANGUAGE plpgsql STABLE
AS $$
DECLARE
  this_log uuid := p_log;
  upper    bigint := p_through;
  l        record;
  last     record;
BEGIN
  WHILE this_log IS NOT NULL LOOP
    SELECT p.parent_id, p.fork_offset INTO l FROM logs AS p WHERE p.tenant_id = p_tenant AND p.id = this_log;
    SELECT e."offset", e.messages INTO last FROM events AS e
     WHERE e.tenant_id = p_tenant AND e.log_id = this_log AND e."offset" <= upper
       AND e."offset" > coalesce(l.fork_offset, -1)
     ORDER BY e."offset" DESC LIMIT 1;
    IF FOUND THEN
      RETURN last.messages - count_hidden(p_tenant, p_log, last."offset");
    END IF;
    upper := least(upper, l.fork_offset);
    this_log := l.parent_id;
  END LOOP;
  RETURN 0;
END
$$;
COMMENT ON FUNCTION shown_messages(text, uuid, bigint) IS
  'Messages of a log, up to and including an offset, that no rolled-back turn hides; what sessions have deleted counts.';

CREATE FUNCTION delete_events(p_tenants text[], p_sessions uuid[], p_logs uuid[], p_firsts bigint[], p_lasts bigint[])
RETURNS void
LANGUAGE plpgsql
AS $$
DECLARE
  d     record;
  whole record;
BEGIN
  FOR d IN
    SELECT u.* FROM unnest(p_tenants, p_sessions, p_logs, p_firsts, p_lasts)
                      WITH ORDINALITY AS u(tenant_id, session_id, log_id, first_offset, last_offset, place)
     WHERE EXISTS (SELECT FROM sessions AS s WHERE s.tenant_id = u.tenant_id AND s.id = u.session_id)
     ORDER BY u.place
  LOOP
    WITH gone AS (
      DELETE FROM deleted_events AS o
       WHERE o.tenant_id = d.tenant_id AND o.session_id = d.session_id
         AND o.last_offset >= d.first_offset - 1 AND o.first_offset <= d.last_offset + 1
         AND o.last_offset <= coalesce((SELECT n.last_offset FROM deleted_events AS n
                                         WHERE n.tenant_id = d.tenant_id AND n.session_id = d.session_id
                                           AND n.last_offset > d.last_offset ORDER BY n.last_offset LIMIT 1),
                                       d.last_offset)
      RETURNING o.first_offset, o.last_offset)
    SELECT least(d.first_offset, min(g.first_offset)) AS first_offset,
           greatest(d.last_offset, max(g.last_offset)) AS last_offset
      INTO whole FROM gone AS g;
    INSERT INTO deleted_events (tenant_id, session_id, first_offset, last_offset, messages)
    VALUES (d.tenant_id, d.session_id, whole.first_offset, whole.last_offset,
            greatest(shown_messages(d.tenant_id, d.log_id, whole.last_offset)
                     - shown_messages(d.tenant_id, d.log_id, whole.first_offset - 1), 0));
  END LOOP;
END
$$;
COMMENT ON FUNCTION delete_events(text[], uuid[], uuid[], bigint[], bigint[]) IS
  'Takes ranges of events out of the view of sessions, one after the other; what touches becomes one.';

CREATE FUNCTION fork_deleted_events(p_tenants text[], p_sessions uuid[], p_logs uuid[], p_parents uuid[],
                                    p_offsets bigint[])
RETURNS void
LANGUAGE plpgsql
AS $$
BEGIN
  INSERT INTO deleted_events (tenant_id, session_id, first_offset, last_offset, messages)
  SELECT u.tenant_id, u.session_id, d.first_offset, least(d.last_offset, u.fork_offset),
         CASE WHEN d.last_offset <= u.fork_offset THEN d.messages
           ELSE greatest(shown_messages(u.tenant_id, u.log_id, u.fork_offset)
                         - shown_messages(u.tenant_id, u.log_id, d.first_offset - 1), 0) END
    FROM unnest(p_tenants, p_sessions, p_logs, p_parents, p_offsets)
           AS u(tenant_id, session_id, log_id, parent_id, fork_offset)
    JOIN sessions AS s ON s.tenant_id = u.tenant_id AND s.id = u.session_id AND s.log_id = u.log_id
    JOIN deleted_events AS d ON d.tenant_id = u.tenant_id AND d.session_id = u.parent_id
                            AND d.first_offset <= u.fork_offset;
END
$$;
COMMENT ON FUNCTION fork_deleted_events(text[], uuid[], uuid[], uuid[], bigint[]) IS
  'What the session that was forked had deleted by then, for each of the forks that have just been made.';

CREATE FUNCTION count_deleted(p_tenant text, p_session uuid, p_log uuid, p_through bigint) RETURNS bigint
LANGUAGE sql STABLE
AS $$
  SELECT coalesce(sum(CASE WHEN d.last_offset <= p_through THEN d.messages
                        ELSE greatest(shown_messages(p_tenant, p_log, p_through)
                                      - shown_messages(p_tenant, p_log, d.first_offset - 1), 0) END), 0)::bigint
    FROM deleted_events AS d
   WHERE d.tenant_id = p_tenant AND d.session_id = p_session AND d.first_offset <= p_through
$$;
COMMENT ON FUNCTION count_deleted(text, uuid, uuid, bigint) IS
  'Messages, up to and including an offset, that a session has deleted and no rolled-back turn hides.';

-- As read_fork, of any log, for what that does not know: what the session has deleted, and filters. A long range that is
-- deleted is stepped over; else it costs what it passes over.
CREATE FUNCTION read_view(p_tenant text, p_session uuid, p_log uuid, p_after bigint, p_before bigint, p_limit bigint,
                          p_bytes bigint, p_newest boolean, p_messages_only boolean, p_with_deleted boolean,
                          p_kinds text[], p_source text, p_trace text)
RETURNS TABLE (entry events, is_deleted boolean)
LANGUAGE plpgsql STABLE
AS $$
DECLARE
  ids      uuid[] := '{}';   -- of the segments that hold wanted offsets, newest first
  lowers   bigint[] := '{}'; -- offsets greater than
  uppers   bigint[] := '{}'; -- and up to
  l        record;
  d        record;
  v        record;
  this_log uuid := p_log;
  upper    bigint := p_before - 1;
  rest     bigint := p_limit;
  bytes    bigint := p_bytes;
  at       int;
  low      bigint; -- what is left of a segment
  high     bigint;
  part_low  bigint; -- what of that is read now
  part_high bigint;
BEGIN
  WHILE this_log IS NOT NULL AND upper > p_after LOOP
    SELECT p.parent_id, p.fork_offset INTO l FROM logs AS p WHERE p.tenant_id = p_tenant AND p.id = this_log;
    ids := ids || this_log;
    lowers := lowers || greatest(p_after, coalesce(l.fork_offset, -1));
    uppers := uppers || upper;
    upper := least(upper, coalesce(l.fork_offset, -1));
    this_log := l.parent_id;
  END LOOP;

  FOR i IN 1 .. cardinality(ids) LOOP
    at := CASE WHEN p_newest THEN i ELSE cardinality(ids) + 1 - i END;
    low := lowers[at] + 1;
    high := uppers[at];
    WHILE low <= high AND rest > 0 AND bytes > 0 LOOP
      part_low := low;
      part_high := high;
      IF p_newest THEN
        IF NOT p_with_deleted THEN
          SELECT o.first_offset, o.last_offset INTO d FROM deleted_events AS o
           WHERE o.tenant_id = p_tenant AND o.session_id = p_session AND o.last_offset - o.first_offset >= 100
             AND o.last_offset >= low AND o.first_offset <= high
           ORDER BY o.last_offset DESC LIMIT 1;
          part_low := CASE WHEN FOUND THEN greatest(low, d.last_offset + 1) ELSE low END;
          high := CASE WHEN FOUND THEN d.first_offset - 1 ELSE low - 1 END;
        ELSE
          high := low - 1;
        END IF;
        FOR v IN
          SELECT e AS entry, octet_length(e.data) AS size, x.is_deleted
            FROM events AS e, LATERAL (
              SELECT coalesce((SELECT o.first_offset FROM deleted_events AS o
                                WHERE o.tenant_id = p_tenant AND o.session_id = p_session
                                  AND o.last_offset >= e."offset" ORDER BY o.last_offset LIMIT 1) <= e."offset",
                              false) AS is_deleted OFFSET 0) AS x
           WHERE e.tenant_id = p_tenant AND e.log_id = ids[at] AND e."offset" >= part_low AND e."offset" <= part_high
             AND (e.kind = 'message' OR NOT p_messages_only)
             AND (p_kinds IS NULL OR e.kind = ANY (p_kinds))
             AND (p_source IS NULL OR e.source = p_source) AND (p_trace IS NULL OR e.trace_id = p_trace)
             AND NOT EXISTS (SELECT FROM turns AS t WHERE t.tenant_id = e.tenant_id AND t.id = e.turn_id
                                                      AND t.status = 'rolled_back')
             AND (p_with_deleted OR NOT x.is_deleted)
           ORDER BY e."offset" DESC LIMIT rest
        LOOP
          entry := v.entry;
          is_deleted := v.is_deleted;
          RETURN NEXT;
          rest := rest - 1;
          bytes := bytes - v.size;
          EXIT WHEN bytes <= 0;
        END LOOP;
      ELSE
        IF NOT p_with_deleted THEN
          SELECT o.first_offset, o.last_offset INTO d FROM deleted_events AS o
           WHERE o.tenant_id = p_tenant AND o.session_id = p_session AND o.last_offset - o.first_offset >= 100
             AND o.last_offset >= low AND o.first_offset <= high
           ORDER BY o.last_offset LIMIT 1;
          part_high := CASE WHEN FOUND THEN least(high, d.first_offset - 1) ELSE high END;
          low := CASE WHEN FOUND THEN d.last_offset + 1 ELSE high + 1 END;
        ELSE
          low := high + 1;
        END IF;
        FOR v IN
          SELECT e AS entry, octet_length(e.data) AS size, x.is_deleted
            FROM events AS e, LATERAL (
              SELECT coalesce((SELECT o.first_offset FROM deleted_events AS o
                                WHERE o.tenant_id = p_tenant AND o.session_id = p_session
                                  AND o.last_offset >= e."offset" ORDER BY o.last_offset LIMIT 1) <= e."offset",
                              false) AS is_deleted OFFSET 0) AS x
           WHERE e.tenant_id = p_tenant AND e.log_id = ids[at] AND e."offset" >= part_low AND e."offset" <= part_high
             AND (e.kind = 'message' OR NOT p_messages_only)
             AND (p_kinds IS NULL OR e.kind = ANY (p_kinds))
             AND (p_source IS NULL OR e.source = p_source) AND (p_trace IS NULL OR e.trace_id = p_trace)
             AND NOT EXISTS (SELECT FROM turns AS t WHERE t.tenant_id = e.tenant_id AND t.id = e.turn_id
                                                      AND t.status = 'rolled_back')
             AND (p_with_deleted OR NOT x.is_deleted)
           ORDER BY e."offset" LIMIT rest
        LOOP
          entry := v.entry;
          is_deleted := v.is_deleted;
          RETURN NEXT;
          rest := rest - 1;
          bytes := bytes - v.size;
          EXIT WHEN bytes <= 0;
        END LOOP;
      END IF;
    END LOOP;
  END LOOP;
END
$$;
COMMENT ON FUNCTION read_view(text, uuid, uuid, bigint, bigint, bigint, bigint, boolean, boolean, boolean, text[], text, text) IS
  'A part of a log as a session shows it: offsets after < x < before, from either end, filtered, without what rolled-back '
  'turns wrote, and without what the session has deleted, or with it and told.';

-- ---- erasing --------------------------------------------------------------------------------------------------------

-- As before, and what was deleted is forgotten. Forks have their own rows.
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
    DELETE FROM deleted_events AS d USING (
      SELECT last_offset FROM deleted_events WHERE tenant_id = p_tenant AND session_id = p_session
       ORDER BY last_offset LIMIT greatest(rest, 0)) AS old
     WHERE d.tenant_id = p_tenant AND d.session_id = p_session AND d.last_offset = old.last_offset;
    GET DIAGNOSTICS n = ROW_COUNT;
    rest := rest - n;
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

-- ---- who may do what ------------------------------------------------------------------------------------------------

ALTER TABLE deleted_events ENABLE ROW LEVEL SECURITY;
ALTER TABLE deleted_events FORCE ROW LEVEL SECURITY;
CREATE POLICY deleted_events_of_tenants ON deleted_events TO colloquy_service
  USING (coalesce(tenant_id, '') = ANY ((SELECT current_tenants())::text[]))
  WITH CHECK (coalesce(tenant_id, '') = ANY ((SELECT current_tenants())::text[]));
CREATE POLICY deleted_events_of_user ON deleted_events AS RESTRICTIVE FOR SELECT TO colloquy_service
  USING ((SELECT coalesce(current_setting('colloquy.user_id', true), '') = '')
         OR EXISTS (SELECT FROM sessions AS s WHERE s.tenant_id = deleted_events.tenant_id
                                                AND s.id = deleted_events.session_id));
CREATE POLICY deleted_events_for_system ON deleted_events TO colloquy_system USING (true) WITH CHECK (true);

REVOKE ALL ON deleted_events FROM PUBLIC;
GRANT SELECT, INSERT, DELETE ON deleted_events TO colloquy_service;
GRANT SELECT (tenant_id, session_id, last_offset), DELETE ON deleted_events TO colloquy_system;

REVOKE EXECUTE ON FUNCTION shown_messages(text, uuid, bigint),
                           delete_events(text[], uuid[], uuid[], bigint[], bigint[]),
                           fork_deleted_events(text[], uuid[], uuid[], uuid[], bigint[]),
                           count_deleted(text, uuid, uuid, bigint),
                           read_view(text, uuid, uuid, bigint, bigint, bigint, bigint, boolean, boolean, boolean, text[],
                                     text, text) FROM PUBLIC;
GRANT EXECUTE ON FUNCTION shown_messages(text, uuid, bigint),
                          delete_events(text[], uuid[], uuid[], bigint[], bigint[]),
                          fork_deleted_events(text[], uuid[], uuid[], uuid[], bigint[]),
                          count_deleted(text, uuid, uuid, bigint),
                          read_view(text, uuid, uuid, bigint, bigint, bigint, bigint, boolean, boolean, boolean, text[],
                                    text, text) TO colloquy_service;
