-- How many documents a collection has, kept as they are written: counting a million takes longer than reading a page of
-- them. And how often a collection was written to, so that a number that was counted once is known to hold still.
--
-- One row a collection would make all who write to it wait for each other. So there are several: who writes takes one that
-- nobody holds, or makes another, and never waits. There are as many as have once written at the same time.

CREATE TABLE collection_counts (
  tenant_id     text COLLATE "C" NOT NULL,
  collection_id bigint NOT NULL,
  part          bigint NOT NULL GENERATED ALWAYS AS IDENTITY,
  documents     bigint NOT NULL,
  changes       bigint NOT NULL,
  PRIMARY KEY (tenant_id, collection_id, part)
) WITH (fillfactor = 50);

COMMENT ON TABLE collection_counts IS
  'How many documents a collection has, and how often it was written to: the sums of its rows. Kept by triggers.';
COMMENT ON COLUMN collection_counts.tenant_id IS 'The owner, as in sessions.';
COMMENT ON COLUMN collection_counts.collection_id IS 'documents.collection_id.';
COMMENT ON COLUMN collection_counts.part IS 'Tells the rows of a collection apart.';
COMMENT ON COLUMN collection_counts.documents IS 'A part of how many there are; one part alone may be below zero.';
COMMENT ON COLUMN collection_counts.changes IS 'Statements that have written through this row.';

ALTER TABLE collection_counts ENABLE ROW LEVEL SECURITY;
ALTER TABLE collection_counts FORCE ROW LEVEL SECURITY;
CREATE POLICY collection_counts_of_tenants ON collection_counts TO colloquy_service
  USING (coalesce(tenant_id, '') = ANY ((SELECT current_tenants())::text[]))
  WITH CHECK (coalesce(tenant_id, '') = ANY ((SELECT current_tenants())::text[]));
REVOKE ALL ON collection_counts FROM PUBLIC;
GRANT SELECT, INSERT (tenant_id, collection_id, documents, changes), UPDATE (documents, changes), DELETE
   ON collection_counts TO colloquy_service;

CREATE FUNCTION count_documents(p_tenant text, p_collection bigint, p_more bigint) RETURNS void
LANGUAGE plpgsql
AS $$
BEGIN
  UPDATE collection_counts AS c SET documents = c.documents + p_more, changes = c.changes + 1
   WHERE c.tenant_id = p_tenant AND c.collection_id = p_collection
     AND c.part = (SELECT f.part FROM collection_counts AS f
                    WHERE f.tenant_id = p_tenant AND f.collection_id = p_collection
                    ORDER BY f.part LIMIT 1 FOR NO KEY UPDATE SKIP LOCKED);
  IF NOT FOUND THEN
    INSERT INTO collection_counts (tenant_id, collection_id, documents, changes)
    VALUES (p_tenant, p_collection, p_more, 1);
  END IF;
END
$$;
COMMENT ON FUNCTION count_documents(text, bigint, bigint) IS
  'Takes note that a statement has written to a collection, and by how many documents it has more then.';

CREATE OR REPLACE FUNCTION add_document_terms() RETURNS trigger
LANGUAGE plpgsql
AS $$
BEGIN
  INSERT INTO document_terms (tenant_id, collection_id, term, sort_key, id)
  SELECT n.tenant_id, n.collection_id, t.term, n.sort_key, n.id
    FROM new_rows AS n, document_terms_of(n.data) AS t(term);
  PERFORM count_documents(n.tenant_id, n.collection_id, count(*))
     FROM new_rows AS n GROUP BY n.tenant_id, n.collection_id;
  RETURN NULL;
END
$$;

CREATE OR REPLACE FUNCTION change_document_terms() RETURNS trigger
LANGUAGE plpgsql
AS $$
BEGIN
  DELETE FROM document_terms AS d WHERE d.ctid = ANY (ARRAY(
    SELECT r.place
      FROM (SELECT o.tenant_id, o.collection_id, t.term, o.sort_key, o.id
              FROM old_rows AS o, document_terms_of(o.data) AS t(term)
            EXCEPT
            SELECT n.tenant_id, n.collection_id, t.term, n.sort_key, n.id
              FROM new_rows AS n, document_terms_of(n.data) AS t(term)) AS g,
           LATERAL (SELECT x.ctid AS place FROM document_terms AS x
                     WHERE x.tenant_id = g.tenant_id AND x.collection_id = g.collection_id AND x.term = g.term
                       AND x.sort_key = g.sort_key AND x.id = g.id OFFSET 0) AS r));
  INSERT INTO document_terms (tenant_id, collection_id, term, sort_key, id)
  SELECT n.tenant_id, n.collection_id, t.term, n.sort_key, n.id
    FROM new_rows AS n, document_terms_of(n.data) AS t(term)
  EXCEPT
  SELECT o.tenant_id, o.collection_id, t.term, o.sort_key, o.id
    FROM old_rows AS o, document_terms_of(o.data) AS t(term);
  PERFORM count_documents(b.tenant_id, b.collection_id, sum(b.more)::bigint)
     FROM (SELECT n.tenant_id, n.collection_id, 1 AS more FROM new_rows AS n
           UNION ALL SELECT o.tenant_id, o.collection_id, -1 FROM old_rows AS o) AS b
    GROUP BY b.tenant_id, b.collection_id;
  RETURN NULL;
END
$$;

CREATE OR REPLACE FUNCTION remove_document_terms() RETURNS trigger
LANGUAGE plpgsql
AS $$
BEGIN
  DELETE FROM document_terms AS d WHERE d.ctid = ANY (ARRAY(
    SELECT r.place
      FROM old_rows AS o, document_terms_of(o.data) AS t(term),
           LATERAL (SELECT x.ctid AS place FROM document_terms AS x
                     WHERE x.tenant_id = o.tenant_id AND x.collection_id = o.collection_id AND x.term = t.term
                       AND x.sort_key = o.sort_key AND x.id = o.id OFFSET 0) AS r));
  PERFORM count_documents(o.tenant_id, o.collection_id, -count(*))
     FROM old_rows AS o GROUP BY o.tenant_id, o.collection_id;
  RETURN NULL;
END
$$;

-- Counts what documents of one collection there are, all tenants'; or of all collections. For who owns the tables, while
-- nobody writes to them.
CREATE FUNCTION count_documents_anew(p_collection bigint) RETURNS void
LANGUAGE plpgsql
AS $$
BEGIN
  CREATE POLICY counting ON document_terms TO CURRENT_USER USING (true);
  CREATE POLICY counting ON collection_counts TO CURRENT_USER USING (true) WITH CHECK (true);
  UPDATE collection_counts AS c SET documents = 0, changes = c.changes + 1
   WHERE c.collection_id = p_collection OR p_collection IS NULL;
  INSERT INTO collection_counts (tenant_id, collection_id, documents, changes)
  SELECT t.tenant_id, t.collection_id, count(*), 1 FROM document_terms AS t
   WHERE t.term = 0 AND (t.collection_id = p_collection OR p_collection IS NULL)
   GROUP BY t.tenant_id, t.collection_id;
  DROP POLICY counting ON collection_counts;
  DROP POLICY counting ON document_terms;
END
$$;
COMMENT ON FUNCTION count_documents_anew(bigint) IS 'Makes collection_counts right, of one collection or all. For who migrates.';

-- As before, and it counts.
CREATE OR REPLACE FUNCTION adopt_document_table(p_collection text, p_number bigint, p_id_columns text[], p_index_on_data boolean)
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
    PERFORM count_documents_anew(p_number);
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

-- ---- deleting a collection -----------------------------------------------------------------------------------------

-- A collection is deleted with its row: nobody finds its documents without. They are taken away in steps, however many
-- there are; whoever looks after documents goes on with what somebody has begun.
CREATE TABLE document_erasures (
  tenant_id     text COLLATE "C" NOT NULL,
  collection_id bigint NOT NULL,
  begun_at      timestamptz NOT NULL DEFAULT clock_timestamp(),
  PRIMARY KEY (tenant_id, collection_id)
);

COMMENT ON TABLE document_erasures IS 'Collections that are gone and whose documents are not wholly erased yet.';
COMMENT ON COLUMN document_erasures.tenant_id IS 'The owner, as in sessions.';
COMMENT ON COLUMN document_erasures.collection_id IS 'documents.collection_id.';
COMMENT ON COLUMN document_erasures.begun_at IS 'When the collection was deleted.';

ALTER TABLE document_erasures ENABLE ROW LEVEL SECURITY;
ALTER TABLE document_erasures FORCE ROW LEVEL SECURITY;
CREATE POLICY document_erasures_of_tenants ON document_erasures TO colloquy_service
  USING (coalesce(tenant_id, '') = ANY ((SELECT current_tenants())::text[]))
  WITH CHECK (coalesce(tenant_id, '') = ANY ((SELECT current_tenants())::text[]));
CREATE POLICY document_erasures_for_system ON document_erasures FOR SELECT TO colloquy_system USING (true);
REVOKE ALL ON document_erasures FROM PUBLIC;
-- Locking a row takes the right to update some column of it.
GRANT SELECT, INSERT (tenant_id, collection_id), UPDATE (begun_at), DELETE ON document_erasures TO colloquy_service;
GRANT SELECT ON document_erasures TO colloquy_system;

-- ---- what there is already ------------------------------------------------------------------------------------------

-- Who has begun to write would end by the triggers of before.
DO $$
DECLARE
  t regclass;
BEGIN
  FOR t IN SELECT tgrelid FROM pg_trigger WHERE tgname = 'documents_inserted' AND tgfoid = 'add_document_terms'::regproc
            ORDER BY tgrelid LOOP
    EXECUTE format('LOCK TABLE %s IN SHARE ROW EXCLUSIVE MODE', t);
  END LOOP;
  PERFORM count_documents_anew(NULL);
END
$$;

REVOKE EXECUTE ON FUNCTION count_documents(text, bigint, bigint), count_documents_anew(bigint) FROM PUBLIC;
GRANT EXECUTE ON FUNCTION count_documents(text, bigint, bigint) TO colloquy_service;
