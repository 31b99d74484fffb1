-- What a session was when it was made, for whoever asks again by the same idempotency key; and rows by user, enforced
-- here, for statements that are run in one user's name.

ALTER TABLE idempotency_keys ADD COLUMN reply bytea;
COMMENT ON COLUMN idempotency_keys.reply IS
  'Of a session that was made: its record as it was then, encoded by the service; null for keys from before.';

-- A transaction that has set colloquy.user_id sees the sessions which that user owns or takes part in, whatever its
-- statements ask for; without it nothing is restricted. The scalar subqueries are evaluated once a statement: while
-- none is set, a row costs one comparison. The function is called only for rows that another user owns.
CREATE FUNCTION takes_part(p_tenant text, p_session uuid, p_user text) RETURNS boolean
LANGUAGE plpgsql STABLE PARALLEL SAFE
AS $$
BEGIN
  RETURN EXISTS (SELECT FROM participants AS p
                  WHERE p.tenant_id = p_tenant AND p.session_id = p_session AND p.user_id = p_user);
END
$$;
COMMENT ON FUNCTION takes_part(text, uuid, text) IS 'Whether a session is shared with that user.';

CREATE POLICY sessions_of_user ON sessions AS RESTRICTIVE FOR SELECT TO colloquy_service
  USING ((SELECT coalesce(current_setting('colloquy.user_id', true), '') = '')
         OR coalesce(user_id, '') = (SELECT current_setting('colloquy.user_id', true))
         OR takes_part(tenant_id, id, (SELECT current_setting('colloquy.user_id', true))));

CREATE POLICY participants_of_user ON participants AS RESTRICTIVE FOR SELECT TO colloquy_service
  USING ((SELECT coalesce(current_setting('colloquy.user_id', true), '') = '')
         OR coalesce(user_id, '') = (SELECT current_setting('colloquy.user_id', true)));

REVOKE EXECUTE ON FUNCTION takes_part(text, uuid, text) FROM PUBLIC;
GRANT EXECUTE ON FUNCTION takes_part(text, uuid, text) TO colloquy_service;
