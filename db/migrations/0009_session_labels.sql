-- What frameworks keep of sessions beside the log: labels, mode, how far each client has read.
--
-- As in the migrations before: unqualified names, row level security forced on every table, policies with coalesce(), no
-- right that is not needed.

ALTER TABLE sessions
  ADD COLUMN labels text[] COLLATE "C" NOT NULL DEFAULT '{}',
  ADD COLUMN mode text COLLATE "C" NOT NULL DEFAULT 'auto' CHECK (mode IN ('auto', 'manual')),
  ADD COLUMN consumption_offsets jsonb NOT NULL DEFAULT '{}';

COMMENT ON COLUMN sessions.labels IS 'The caller''s own, a set; session_labels finds by them.';
COMMENT ON COLUMN sessions.mode IS 'auto: the agent answers; manual: a person does.';
COMMENT ON COLUMN sessions.consumption_offsets IS 'By client: how far it has read, as it says itself.';

-- ---- finding by label -----------------------------------------------------------------------------------------------

-- An index over the array would not be used: its operators are not leakproof, so a row policy comes before them.
CREATE TABLE session_labels (
  tenant_id  text COLLATE "C" NOT NULL,
  session_id uuid NOT NULL,
  label      text COLLATE "C" NOT NULL CHECK (char_length(label) BETWEEN 1 AND 255),
  created_at timestamptz NOT NULL,
  PRIMARY KEY (tenant_id, session_id, label)
);
CREATE INDEX idx_session_labels_label ON session_labels (tenant_id, label, created_at DESC, session_id DESC);

COMMENT ON TABLE session_labels IS 'sessions.labels one by one, to find sessions by; kept by triggers.';
COMMENT ON COLUMN session_labels.tenant_id IS 'The owner, as in sessions.';
COMMENT ON COLUMN session_labels.session_id IS 'sessions.id.';
COMMENT ON COLUMN session_labels.label IS 'One of its labels.';
COMMENT ON COLUMN session_labels.created_at IS 'When the session was made: pages are in that order.';

CREATE FUNCTION keep_session_labels() RETURNS trigger
LANGUAGE plpgsql
AS $$
BEGIN
  IF TG_OP = 'DELETE' THEN
    DELETE FROM session_labels AS l WHERE l.tenant_id = OLD.tenant_id AND l.session_id = OLD.id;
    RETURN NULL;
  END IF;
  IF TG_OP = 'UPDATE' THEN
    DELETE FROM session_labels AS l
     WHERE l.tenant_id = OLD.tenant_id AND l.session_id = OLD.id AND l.label <> ALL (NEW.labels);
  END IF;
  INSERT INTO session_labels (tenant_id, session_id, label, created_at)
  SELECT NEW.tenant_id, NEW.id, u.label, NEW.created_at FROM unnest(NEW.labels) AS u(label)
  ON CONFLICT (tenant_id, session_id, label) DO NOTHING;
  RETURN NULL;
END
$$;
COMMENT ON FUNCTION keep_session_labels() IS 'Trigger: session_labels is what sessions.labels says.';

CREATE TRIGGER sessions_labelled AFTER INSERT ON sessions
  FOR EACH ROW WHEN (NEW.labels <> '{}') EXECUTE FUNCTION keep_session_labels();
CREATE TRIGGER sessions_relabelled AFTER UPDATE OF labels ON sessions
  FOR EACH ROW WHEN (OLD.labels IS DISTINCT FROM NEW.labels) EXECUTE FUNCTION keep_session_labels();
CREATE TRIGGER sessions_unlabelled AFTER DELETE ON sessions
  FOR EACH ROW WHEN (OLD.labels <> '{}') EXECUTE FUNCTION keep_session_labels();

-- ---- who may do what ------------------------------------------------------------------------------------------------

ALTER TABLE session_labels ENABLE ROW LEVEL SECURITY;
ALTER TABLE session_labels FORCE ROW LEVEL SECURITY;
CREATE POLICY session_labels_of_tenants ON session_labels TO colloquy_service
  USING (coalesce(tenant_id, '') = ANY ((SELECT current_tenants())::text[]))
  WITH CHECK (coalesce(tenant_id, '') = ANY ((SELECT current_tenants())::text[]));
-- Where one user is set, the labels of sessions that this user sees.
CREATE POLICY session_labels_of_user ON session_labels AS RESTRICTIVE FOR SELECT TO colloquy_service
  USING ((SELECT coalesce(current_setting('colloquy.user_id', true), '') = '')
         OR EXISTS (SELECT FROM sessions AS s WHERE s.tenant_id = session_labels.tenant_id
                                                AND s.id = session_labels.session_id));

REVOKE ALL ON session_labels FROM PUBLIC;
GRANT SELECT, INSERT, DELETE ON session_labels TO colloquy_service;
REVOKE EXECUTE ON FUNCTION keep_session_labels() FROM PUBLIC;
