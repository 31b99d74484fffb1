-- Documents that are converted: how large one is, and which fields of one in a store's own table can go.

-- The text of jsonb has a blank behind each comma and colon. Of what is no string all blanks are those.
CREATE FUNCTION document_bytes(p_data jsonb) RETURNS integer
LANGUAGE sql IMMUTABLE PARALLEL SAFE
AS $$
  SELECT octet_length(t.whole) - (char_length(b.bare) - char_length(replace(b.bare, ' ', '')))
    FROM (SELECT p_data::text AS whole) AS t,
         LATERAL (SELECT regexp_replace(t.whole, '"[^"\\]*(?:\\.[^"\\]*)*"', '', 'g') AS bare) AS b
$$;
COMMENT ON FUNCTION document_bytes(jsonb) IS
  'The bytes of a document as they are counted when it comes: written out, without a blank between its tokens.';
REVOKE EXECUTE ON FUNCTION document_bytes(jsonb) FROM PUBLIC;
GRANT EXECUTE ON FUNCTION document_bytes(jsonb) TO colloquy_service;

-- As before, but for a field that is taken out of the document: who may write the document alone, as Colloquy, means it
-- with the column that was read out of the field. Who may write the column, too, and did not, may just not know the field.
CREATE OR REPLACE FUNCTION complete_document() RETURNS trigger
LANGUAGE plpgsql
AS $$
DECLARE
  before jsonb := '{}';
  n      text;
  given  text;
BEGIN
  NEW.data := coalesce(NEW.data, '{}');
  IF jsonb_typeof(NEW.data) <> 'object' THEN
    RAISE EXCEPTION USING ERRCODE = 'check_violation', MESSAGE = 'a document must be a JSON object';
  END IF;
  IF TG_OP = 'UPDATE' THEN
    before := coalesce(OLD.data, '{}');
  END IF;

  -- The column tells, unless only the document says another id.
  IF jsonb_typeof(NEW.data -> 'id') = 'string'
     AND (NEW.id IS NULL OR (TG_OP = 'UPDATE' AND NEW.id = OLD.id AND NEW.data -> 'id' IS DISTINCT FROM before -> 'id'))
  THEN
    NEW.id := NEW.data ->> 'id';
  ELSIF NEW.id IS NOT NULL THEN
    NEW.data := NEW.data || jsonb_build_object('id', NEW.id);
  END IF;

  -- The document tells, unless it says nothing, or only the column has changed.
  FOREACH n IN ARRAY ARRAY['version', 'creation_utc', 'session_id', 'customer_id', 'agent_id'] LOOP
    given := to_jsonb(NEW) ->> n;
    IF NEW.data ? n AND (TG_OP = 'INSERT' OR NEW.data -> n IS DISTINCT FROM before -> n
                         OR given IS NOT DISTINCT FROM to_jsonb(OLD) ->> n) THEN
      CONTINUE;
    END IF;
    IF n NOT IN ('version', 'creation_utc') AND before ? n AND NOT NEW.data ? n
       AND NOT has_column_privilege(TG_RELID, n, 'UPDATE') THEN
      CONTINUE;
    END IF;
    IF given IS NOT NULL OR n IN ('version', 'creation_utc') THEN
      NEW.data := NEW.data || jsonb_build_object(n, given);
    ELSE
      NEW.data := NEW.data - n;
    END IF;
  END LOOP;
  NEW.version := CASE WHEN jsonb_typeof(NEW.data -> 'version') = 'string' THEN NEW.data ->> 'version' END;
  NEW.creation_utc := CASE WHEN jsonb_typeof(NEW.data -> 'creation_utc') = 'string' THEN NEW.data ->> 'creation_utc' END;
  NEW.session_id := CASE WHEN jsonb_typeof(NEW.data -> 'session_id') = 'string'
                          AND char_length(NEW.data ->> 'session_id') <= 255 THEN NEW.data ->> 'session_id' END;
  NEW.customer_id := CASE WHEN jsonb_typeof(NEW.data -> 'customer_id') = 'string'
                           AND char_length(NEW.data ->> 'customer_id') <= 255 THEN NEW.data ->> 'customer_id' END;
  NEW.agent_id := CASE WHEN jsonb_typeof(NEW.data -> 'agent_id') = 'string'
                        AND char_length(NEW.data ->> 'agent_id') <= 255 THEN NEW.data ->> 'agent_id' END;
  RETURN NEW;
END
$$;
