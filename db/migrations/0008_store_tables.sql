-- Documents in tables of their own: those of a framework's stores, which a database may have had before Colloquy. The
-- functions here make such a table, or adopt one with what is in it; `colloquy migrate` calls them for each table of the
-- prefixes that are set. Called again they leave everything as it is.
--
-- Such a table becomes one like documents, but for its columns, which other programs write too: they are not generated,
-- a trigger keeps them and the document together.

CREATE FUNCTION complete_document() RETURNS trigger
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
COMMENT ON FUNCTION complete_document() IS
  'Trigger: brings the columns of a document in a store''s table, and what the document says of them, together.';

-- Names are cut to 63 bytes. Those of which nothing of the column would be left end with a digest instead.
CREATE FUNCTION ensure_index(p_table regclass, p_name text, p_column text, p_columns text[], p_method text, p_where text)
RETURNS void
LANGUAGE plpgsql
AS $$
DECLARE
  whole text := p_name || '_' || p_column;
  cut   text := CASE WHEN octet_length(p_name) < 62 THEN left(whole, 63)
                     ELSE left(whole, 54) || '_' || left(md5(whole), 8) END;
  there record;
BEGIN
  SELECT i.indexrelid AS id, i.indpred IS NOT NULL AS is_partial, m.amname AS method,
         (SELECT array_agg(a.attname::text ORDER BY k.n)
            FROM unnest(i.indkey) WITH ORDINALITY AS k(column_number, n)
            JOIN pg_attribute AS a ON a.attrelid = i.indrelid AND a.attnum = k.column_number) AS columns
    INTO there
    FROM pg_index AS i JOIN pg_class AS c ON c.oid = i.indexrelid JOIN pg_am AS m ON m.oid = c.relam
   WHERE i.indrelid = p_table AND c.relname = cut;
  IF FOUND AND there.columns = p_columns AND there.method = p_method AND there.is_partial = (p_where IS NOT NULL) THEN
    RETURN;
  END IF;
  IF FOUND THEN
    EXECUTE format('DROP INDEX %s', there.id::regclass);
  END IF;
  EXECUTE format('CREATE INDEX %I ON %s USING %s (%s)%s', cut, p_table, p_method,
                 (SELECT string_agg(quote_ident(c), ', ') FROM unnest(p_columns) AS c), coalesce(' WHERE ' || p_where, ''));
END
$$;
COMMENT ON FUNCTION ensure_index(regclass, text, text, text[], text, text) IS
  'Makes an index of that name over those columns, in place of one of the name that is another.';

-- Every policy but ours goes: any other would let more be seen.
CREATE FUNCTION ensure_tenant_policies(p_table regclass, p_has_users boolean) RETURNS void
LANGUAGE plpgsql
AS $$
DECLARE
  p         name;
  of_tenant constant text := $p$coalesce(tenant_id, '') = ANY ((SELECT current_tenants())::text[])$p$;
  of_user   constant text := $p$(SELECT coalesce(current_setting('colloquy.user_id', true), '') = '')
    OR coalesce(customer_id, '') = (SELECT current_setting('colloquy.user_id', true))$p$;
BEGIN
  FOR p IN SELECT polname FROM pg_policy WHERE polrelid = p_table LOOP
    EXECUTE format('DROP POLICY %I ON %s', p, p_table);
  END LOOP;
  EXECUTE format('ALTER TABLE %s ENABLE ROW LEVEL SECURITY', p_table);
  EXECUTE format('ALTER TABLE %s FORCE ROW LEVEL SECURITY', p_table);
  EXECUTE format('CREATE POLICY documents_of_tenants ON %s TO colloquy_service USING (%s) WITH CHECK (%2$s)', p_table, of_tenant);
  IF p_has_users THEN
    EXECUTE format('CREATE POLICY documents_of_user ON %s AS RESTRICTIVE TO colloquy_service USING (%s) WITH CHECK (%2$s)',
                   p_table, of_user);
  END IF;
  EXECUTE format('REVOKE ALL ON %s FROM PUBLIC', p_table);
END
$$;
COMMENT ON FUNCTION ensure_tenant_policies(regclass, boolean) IS
  'Row level security of a store''s table: rows of the tenants of the transaction and, if need be, of its user.';

CREATE FUNCTION adopt_document_table(p_collection text, p_number bigint, p_id_columns text[], p_index_on_data boolean)
RETURNS void
LANGUAGE plpgsql
AS $$
DECLARE
  place   text := format('%I.%I', current_schema(), left(p_collection, 63));
  t       regclass;
  n       text;
  is_ours boolean;
BEGIN
  EXECUTE format($t$CREATE TABLE IF NOT EXISTS %s (
    tenant_id text COLLATE "C" NOT NULL DEFAULT 'default', id text COLLATE "C" NOT NULL, version text COLLATE "C",
    creation_utc text COLLATE "C", session_id text COLLATE "C", customer_id text COLLATE "C", agent_id text COLLATE "C",
    data jsonb NOT NULL DEFAULT '{}')$t$, place);
  t := place::regclass;
  is_ours := EXISTS (SELECT FROM pg_attribute WHERE attrelid = t AND attname = 'sort_key');
  IF NOT is_ours THEN
    EXECUTE format('ALTER TABLE %s NO FORCE ROW LEVEL SECURITY', t); -- else its owner sees no row
    EXECUTE format($t$ALTER TABLE %s ADD COLUMN IF NOT EXISTS tenant_id text COLLATE "C" NOT NULL DEFAULT 'default'$t$, t);
    EXECUTE format('ALTER TABLE %s ADD COLUMN collection_id bigint NOT NULL DEFAULT (%s) CHECK (collection_id = %2$s)',
                   t, p_number);
    FOREACH n IN ARRAY ARRAY['version', 'creation_utc', 'session_id', 'customer_id', 'agent_id'] LOOP
      EXECUTE format('ALTER TABLE %s ADD COLUMN IF NOT EXISTS %I text COLLATE "C"', t, n);
    END LOOP;
    FOR n IN SELECT attname FROM pg_attribute
              WHERE attrelid = t AND attcollation <> 'pg_catalog."C"'::regcollation AND NOT attisdropped
                AND attname IN ('tenant_id', 'id', 'version', 'creation_utc', 'session_id', 'customer_id', 'agent_id') LOOP
      EXECUTE format('ALTER TABLE %s ALTER COLUMN %I TYPE text COLLATE "C"', t, n);
    END LOOP;
    EXECUTE format('CREATE OR REPLACE TRIGGER complete_document BEFORE INSERT OR UPDATE ON %s'
                   ' FOR EACH ROW EXECUTE FUNCTION complete_document()', t);
    EXECUTE format('UPDATE %s SET data = data', t);
    EXECUTE format($t$ALTER TABLE %s ALTER COLUMN data SET NOT NULL, ALTER COLUMN data SET DEFAULT '{}',
      ADD COLUMN sort_key text COLLATE "C" NOT NULL GENERATED ALWAYS AS (
        CASE jsonb_typeof(data -> 'creation_utc') WHEN 'string' THEN '1' || (data ->> 'creation_utc')
                                                  WHEN 'null' THEN '' ELSE '0' END) STORED,
      ADD COLUMN bytes integer NOT NULL GENERATED ALWAYS AS (octet_length(data::text)) STORED$t$, t);
  END IF;

  PERFORM ensure_index(t, 'idx_' || p_collection, 'creation_utc', '{tenant_id,collection_id,sort_key,id}', 'btree', NULL);
  FOREACH n IN ARRAY p_id_columns LOOP
    PERFORM ensure_index(t, 'idx_' || p_collection, n, ARRAY['tenant_id', 'collection_id', n, 'sort_key', 'id'], 'btree',
                         format('octet_length(%I) <= 255', n));
  END LOOP;
  IF p_index_on_data THEN
    PERFORM ensure_index(t, 'idx_' || p_collection, 'data_gin', '{data}', 'gin', NULL);
  END IF;
  -- Last of all indexes: see documents.
  IF NOT EXISTS (SELECT FROM pg_index AS i JOIN pg_attribute AS a ON a.attrelid = t AND a.attnum = i.indkey[0]
                  WHERE i.indrelid = t AND i.indisprimary AND i.indnkeyatts = 3 AND a.attname = 'tenant_id') THEN
    FOR n IN SELECT conname FROM pg_constraint WHERE conrelid = t AND contype = 'p' LOOP
      EXECUTE format('ALTER TABLE %s DROP CONSTRAINT %I', t, n);
    END LOOP;
    EXECUTE format('ALTER TABLE %s ADD PRIMARY KEY (tenant_id, collection_id, id)', t);
  END IF;

  IF NOT EXISTS (SELECT FROM pg_trigger WHERE tgrelid = t AND tgname = 'documents_inserted') THEN
    CREATE POLICY adoption ON document_terms TO CURRENT_USER USING (true) WITH CHECK (true);
    CREATE POLICY adoption ON collections TO CURRENT_USER USING (true) WITH CHECK (true);
    DELETE FROM document_terms AS d WHERE d.collection_id = p_number;
    EXECUTE format('INSERT INTO document_terms (tenant_id, collection_id, term, sort_key, id)'
                   ' SELECT n.tenant_id, n.collection_id, x.term, n.sort_key, n.id'
                   ' FROM %s AS n, document_terms_of(n.data) AS x(term)', t);
    EXECUTE format('INSERT INTO collections (tenant_id, name) SELECT DISTINCT n.tenant_id, %L FROM %s AS n'
                   ' ON CONFLICT DO NOTHING', p_collection, t);
    IF NOT is_ours THEN
      CREATE POLICY adoption ON tenants TO CURRENT_USER USING (true) WITH CHECK (true);
      EXECUTE format('SELECT add_usage(array_agg(u.tenant_id), array_agg(0), array_agg(u.bytes))'
                     ' FROM (SELECT n.tenant_id, sum(n.bytes)::bigint AS bytes FROM %s AS n GROUP BY n.tenant_id) AS u', t);
      DROP POLICY adoption ON tenants;
    END IF;
    DROP POLICY adoption ON document_terms;
    DROP POLICY adoption ON collections;
  END IF;
  EXECUTE format('CREATE OR REPLACE TRIGGER complete_document BEFORE INSERT OR UPDATE ON %s'
                 ' FOR EACH ROW EXECUTE FUNCTION complete_document()', t);
  EXECUTE format('CREATE OR REPLACE TRIGGER documents_inserted AFTER INSERT ON %s REFERENCING NEW TABLE AS new_rows'
                 ' FOR EACH STATEMENT EXECUTE FUNCTION add_document_terms()', t);
  EXECUTE format('CREATE OR REPLACE TRIGGER documents_updated AFTER UPDATE ON %s REFERENCING OLD TABLE AS old_rows'
                 ' NEW TABLE AS new_rows FOR EACH STATEMENT EXECUTE FUNCTION change_document_terms()', t);
  EXECUTE format('CREATE OR REPLACE TRIGGER documents_deleted AFTER DELETE ON %s REFERENCING OLD TABLE AS old_rows'
                 ' FOR EACH STATEMENT EXECUTE FUNCTION remove_document_terms()', t);

  PERFORM ensure_tenant_policies(t, true);
  EXECUTE format('GRANT SELECT, INSERT (tenant_id, data), UPDATE (data), DELETE ON %s TO colloquy_service', t);
  EXECUTE format('COMMENT ON TABLE %s IS %L', t, 'Documents of the collection ' || p_collection || ', as in documents.');
END
$$;
COMMENT ON FUNCTION adopt_document_table(text, bigint, text[], boolean) IS
  'Makes the table of a collection that has one of its own, or adopts it with what is in it. For who migrates.';

CREATE FUNCTION adopt_failed_table(p_collection text) RETURNS void
LANGUAGE plpgsql
AS $$
DECLARE
  place text := format('%I.%I', current_schema(), left(p_collection, 63));
BEGIN
  EXECUTE format($t$CREATE TABLE IF NOT EXISTS %s (tenant_id text COLLATE "C" NOT NULL DEFAULT 'default',
                                                   id text COLLATE "C", data jsonb DEFAULT '{}')$t$, place);
  EXECUTE format($t$ALTER TABLE %s ADD COLUMN IF NOT EXISTS tenant_id text COLLATE "C" NOT NULL DEFAULT 'default'$t$, place);
  PERFORM ensure_tenant_policies(place::regclass, false);
  EXECUTE format('GRANT SELECT ON %s TO colloquy_service', place);
  EXECUTE format('COMMENT ON TABLE %s IS %L', place,
                 'What another program could not convert; Colloquy keeps such documents in failed_migrations.');
END
$$;
COMMENT ON FUNCTION adopt_failed_table(text) IS
  'The same for a table of documents that another program could not convert, which Colloquy leaves as they are.';

REVOKE EXECUTE ON FUNCTION complete_document(), ensure_index(regclass, text, text, text[], text, text),
                           ensure_tenant_policies(regclass, boolean),
                           adopt_document_table(text, bigint, text[], boolean), adopt_failed_table(text) FROM PUBLIC;
