-- Documents: JSON objects in collections, each found by any of its fields; and the stores that give collections a version.
--
-- As in the migrations before: unqualified names, row level security forced on every table, policies with coalesce(), no
-- right that is not needed.

CREATE TABLE collections (
  tenant_id  text COLLATE "C" NOT NULL,
  name       text COLLATE "C" NOT NULL CHECK (char_length(name) BETWEEN 1 AND 255),
  id         bigint NOT NULL GENERATED ALWAYS AS IDENTITY,
  created_at timestamptz NOT NULL DEFAULT clock_timestamp(),
  PRIMARY KEY (tenant_id, name)
);

COMMENT ON TABLE collections IS 'What documents are in. A row is made by the first insert; writers of documents lock it.';
COMMENT ON COLUMN collections.tenant_id IS 'The owner, as in sessions.';
COMMENT ON COLUMN collections.name IS 'As the caller gave it.';
COMMENT ON COLUMN collections.id IS 'By which documents name it: a collection that is made anew has another one.';
COMMENT ON COLUMN collections.created_at IS 'When it was made.';

-- What a document is found and ordered by is read out of it by the server, so that it is right whoever writes. A column
-- of an id is null unless it is a string of at most 255 characters; what is longer is found as any other field is.
CREATE TABLE documents (
  tenant_id     text COLLATE "C" NOT NULL,
  collection_id bigint NOT NULL,
  id            text COLLATE "C" NOT NULL CHECK (char_length(id) BETWEEN 1 AND 255)
                GENERATED ALWAYS AS (CASE WHEN jsonb_typeof(data -> 'id') = 'string' THEN data ->> 'id' END) STORED,
  version       text COLLATE "C"
                GENERATED ALWAYS AS (CASE WHEN jsonb_typeof(data -> 'version') = 'string' THEN data ->> 'version' END)
                STORED,
  creation_utc  text COLLATE "C" CHECK (char_length(creation_utc) <= 255)
                GENERATED ALWAYS AS (CASE WHEN jsonb_typeof(data -> 'creation_utc') = 'string'
                                          THEN data ->> 'creation_utc' END) STORED,
  session_id    text COLLATE "C"
                GENERATED ALWAYS AS (CASE WHEN jsonb_typeof(data -> 'session_id') = 'string'
                                           AND char_length(data ->> 'session_id') <= 255
                                          THEN data ->> 'session_id' END) STORED,
  customer_id   text COLLATE "C"
                GENERATED ALWAYS AS (CASE WHEN jsonb_typeof(data -> 'customer_id') = 'string'
                                           AND char_length(data ->> 'customer_id') <= 255
                                          THEN data ->> 'customer_id' END) STORED,
  agent_id      text COLLATE "C"
                GENERATED ALWAYS AS (CASE WHEN jsonb_typeof(data -> 'agent_id') = 'string'
                                           AND char_length(data ->> 'agent_id') <= 255
                                          THEN data ->> 'agent_id' END) STORED,
  sort_key      text COLLATE "C" NOT NULL
                GENERATED ALWAYS AS (CASE WHEN jsonb_typeof(data -> 'creation_utc') = 'string'
                                          THEN '1' || (data ->> 'creation_utc') ELSE '' END) STORED,
  bytes         integer NOT NULL GENERATED ALWAYS AS (octet_length(data::text)) STORED,
  data          jsonb NOT NULL CHECK (jsonb_typeof(data) = 'object' AND data ?& '{id,version,creation_utc}'
                                      AND jsonb_typeof(data -> 'creation_utc') IN ('string', 'null'))
);
-- What is longer than 255 bytes would not fit into an index beside the others. Of indexes that seem to cost the same, as
-- all do on an empty table, the planner takes the one that was made last: hence the order, and the key at the end.
CREATE INDEX idx_documents_order ON documents (tenant_id, collection_id, sort_key, id);
CREATE INDEX idx_documents_session_id ON documents (tenant_id, collection_id, session_id, sort_key, id)
  WHERE octet_length(session_id) <= 255;
CREATE INDEX idx_documents_customer_id ON documents (tenant_id, collection_id, customer_id, sort_key, id)
  WHERE octet_length(customer_id) <= 255;
CREATE INDEX idx_documents_agent_id ON documents (tenant_id, collection_id, agent_id, sort_key, id)
  WHERE octet_length(agent_id) <= 255;
ALTER TABLE documents ADD PRIMARY KEY (tenant_id, collection_id, id);

COMMENT ON TABLE documents IS 'One row a document.';
COMMENT ON COLUMN documents.tenant_id IS 'The owner, as in sessions.';
COMMENT ON COLUMN documents.collection_id IS 'collections.id.';
COMMENT ON COLUMN documents.id IS 'The document''s own.';
COMMENT ON COLUMN documents.version IS 'The same; null if it is null there, here as below.';
COMMENT ON COLUMN documents.creation_utc IS 'The same, as it is spelled there.';
COMMENT ON COLUMN documents.session_id IS 'The same, if it is a string of at most 255 characters.';
COMMENT ON COLUMN documents.customer_id IS 'The same. Whose document it is for requests in one user''s name.';
COMMENT ON COLUMN documents.agent_id IS 'The same.';
COMMENT ON COLUMN documents.sort_key IS
  'creation_utc for ordering: "1" and its text, so that null, which is empty here, comes before every text.';
COMMENT ON COLUMN documents.bytes IS 'Of data written out.';
COMMENT ON COLUMN documents.data IS 'The whole document.';

-- An index over every field. GIN does not do: its operators are not leakproof, so under a row policy they are asked
-- after the policy, of each row. The equality of two numbers is, so fields become numbers.
CREATE TABLE document_terms (
  tenant_id     text COLLATE "C" NOT NULL,
  collection_id bigint NOT NULL,
  term          bigint NOT NULL,
  sort_key      text COLLATE "C" NOT NULL,
  id            text COLLATE "C" NOT NULL,
  PRIMARY KEY (tenant_id, collection_id, term, sort_key, id)
);

COMMENT ON TABLE document_terms IS
  'One row a field of a document that is a string, number, boolean or null: which documents may have that value, in the '
  'order of documents; and one for the document. Kept by triggers. Who finds a document here looks at the document itself.';
COMMENT ON COLUMN document_terms.tenant_id IS 'The owner, as in sessions.';
COMMENT ON COLUMN document_terms.collection_id IS 'documents.collection_id.';
COMMENT ON COLUMN document_terms.term IS 'document_term() of the field''s name and value; 0 for the document.';
COMMENT ON COLUMN document_terms.sort_key IS 'documents.sort_key.';
COMMENT ON COLUMN document_terms.id IS 'documents.id.';

-- Numbers of one value have one text: 2, 2.0 and 2e0.
CREATE FUNCTION document_term(p_field text, p_value jsonb) RETURNS bigint
LANGUAGE sql IMMUTABLE PARALLEL SAFE
AS $$
  SELECT hashtextextended((CASE jsonb_typeof(p_value) WHEN 'string' THEN 's' || (p_value #>> '{}')
                                                      WHEN 'number' THEN 'n' || trim_scale(p_value::numeric)::text
                                                      WHEN 'boolean' THEN 'b' || (p_value #>> '{}')
                                                      WHEN 'null' THEN 'z' END) COLLATE "C",
                          hashtextextended(p_field COLLATE "C", 0))
$$;
COMMENT ON FUNCTION document_term(text, jsonb) IS
  'A number for a field''s name and value, the same for equal values; null for arrays and objects. Two values may share one.';

-- id and creation_utc have indexes of their own. Every document has the term 0: by it all of a collection are counted,
-- without a look at them.
CREATE FUNCTION document_terms_of(p_data jsonb) RETURNS SETOF bigint
LANGUAGE sql IMMUTABLE PARALLEL SAFE
AS $$
  SELECT document_term(f.key, f.value) FROM jsonb_each(p_data) AS f
   WHERE jsonb_typeof(f.value) NOT IN ('array', 'object') AND f.key NOT IN ('id', 'creation_utc')
  UNION SELECT 0
$$;
COMMENT ON FUNCTION document_terms_of(jsonb) IS 'The terms of one document.';

-- Once a statement, however many documents it writes. Rows are looked up one by one and then deleted by their places: a
-- plan that joined them while the table was empty would go through all of it later.
CREATE FUNCTION add_document_terms() RETURNS trigger
LANGUAGE plpgsql
AS $$
BEGIN
  INSERT INTO document_terms (tenant_id, collection_id, term, sort_key, id)
  SELECT n.tenant_id, n.collection_id, t.term, n.sort_key, n.id
    FROM new_rows AS n, document_terms_of(n.data) AS t(term);
  RETURN NULL;
END
$$;
COMMENT ON FUNCTION add_document_terms() IS 'Trigger: the terms of documents that were inserted.';

CREATE FUNCTION change_document_terms() RETURNS trigger
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
  RETURN NULL;
END
$$;
COMMENT ON FUNCTION change_document_terms() IS 'Trigger: the terms of documents that were updated, as far as they differ.';

CREATE FUNCTION remove_document_terms() RETURNS trigger
LANGUAGE plpgsql
AS $$
BEGIN
  DELETE FROM document_terms AS d WHERE d.ctid = ANY (ARRAY(
    SELECT r.place
      FROM old_rows AS o, document_terms_of(o.data) AS t(term),
           LATERAL (SELECT x.ctid AS place FROM document_terms AS x
                     WHERE x.tenant_id = o.tenant_id AND x.collection_id = o.collection_id AND x.term = t.term
                       AND x.sort_key = o.sort_key AND x.id = o.id OFFSET 0) AS r));
  RETURN NULL;
END
$$;
COMMENT ON FUNCTION remove_document_terms() IS 'Trigger: the terms of documents that were deleted.';

CREATE TRIGGER documents_inserted AFTER INSERT ON documents REFERENCING NEW TABLE AS new_rows
  FOR EACH STATEMENT EXECUTE FUNCTION add_document_terms();
CREATE TRIGGER documents_updated AFTER UPDATE ON documents REFERENCING OLD TABLE AS old_rows NEW TABLE AS new_rows
  FOR EACH STATEMENT EXECUTE FUNCTION change_document_terms();
CREATE TRIGGER documents_deleted AFTER DELETE ON documents REFERENCING OLD TABLE AS old_rows
  FOR EACH STATEMENT EXECUTE FUNCTION remove_document_terms();

-- ---- stores and their versions --------------------------------------------------------------------------------------

CREATE TABLE document_stores (
  tenant_id   text COLLATE "C" NOT NULL,
  name        text COLLATE "C" NOT NULL CHECK (char_length(name) BETWEEN 1 AND 255),
  version     text COLLATE "C" NOT NULL,
  target      text COLLATE "C",
  collections text[] COLLATE "C" NOT NULL,
  created_at  timestamptz NOT NULL DEFAULT clock_timestamp(),
  PRIMARY KEY (tenant_id, name)
);

COMMENT ON TABLE document_stores IS 'Collections whose documents are of one version.';
COMMENT ON COLUMN document_stores.tenant_id IS 'The owner, as in sessions.';
COMMENT ON COLUMN document_stores.name IS 'As the caller gave it.';
COMMENT ON COLUMN document_stores.version IS 'Of its documents; moves when none of an older version is left.';
COMMENT ON COLUMN document_stores.target IS 'Where a migration goes that has begun and not ended.';
COMMENT ON COLUMN document_stores.collections IS 'The names of its collections.';
COMMENT ON COLUMN document_stores.created_at IS 'When it was first opened.';

CREATE TABLE failed_migrations (
  tenant_id  text COLLATE "C" NOT NULL,
  store      text COLLATE "C" NOT NULL,
  number     bigint NOT NULL GENERATED ALWAYS AS IDENTITY,
  collection text COLLATE "C" NOT NULL,
  document   jsonb NOT NULL,
  reason     text NOT NULL,
  failed_at  timestamptz NOT NULL DEFAULT clock_timestamp(),
  PRIMARY KEY (tenant_id, store, number)
);

COMMENT ON TABLE failed_migrations IS 'Documents that no converter could bring to their store''s version, whole.';
COMMENT ON COLUMN failed_migrations.tenant_id IS 'The owner, as in sessions.';
COMMENT ON COLUMN failed_migrations.store IS 'document_stores.name.';
COMMENT ON COLUMN failed_migrations.number IS 'Rises in the order in which they failed.';
COMMENT ON COLUMN failed_migrations.collection IS 'The name of the collection that it was in.';
COMMENT ON COLUMN failed_migrations.document IS 'As it was.';
COMMENT ON COLUMN failed_migrations.reason IS 'Why, for people.';
COMMENT ON COLUMN failed_migrations.failed_at IS 'When it last failed.';

-- ---- who may do what ------------------------------------------------------------------------------------------------

ALTER TABLE collections ENABLE ROW LEVEL SECURITY;
ALTER TABLE collections FORCE ROW LEVEL SECURITY;
CREATE POLICY collections_of_tenants ON collections TO colloquy_service
  USING (coalesce(tenant_id, '') = ANY ((SELECT current_tenants())::text[]))
  WITH CHECK (coalesce(tenant_id, '') = ANY ((SELECT current_tenants())::text[]));

-- In a user's name only that user's documents are there, and none can become another's.
ALTER TABLE documents ENABLE ROW LEVEL SECURITY;
ALTER TABLE documents FORCE ROW LEVEL SECURITY;
CREATE POLICY documents_of_tenants ON documents TO colloquy_service
  USING (coalesce(tenant_id, '') = ANY ((SELECT current_tenants())::text[]))
  WITH CHECK (coalesce(tenant_id, '') = ANY ((SELECT current_tenants())::text[]));
CREATE POLICY documents_of_user ON documents AS RESTRICTIVE TO colloquy_service
  USING ((SELECT coalesce(current_setting('colloquy.user_id', true), '') = '')
         OR coalesce(customer_id, '') = (SELECT current_setting('colloquy.user_id', true)))
  WITH CHECK ((SELECT coalesce(current_setting('colloquy.user_id', true), '') = '')
              OR coalesce(customer_id, '') = (SELECT current_setting('colloquy.user_id', true)));

ALTER TABLE document_terms ENABLE ROW LEVEL SECURITY;
ALTER TABLE document_terms FORCE ROW LEVEL SECURITY;
CREATE POLICY document_terms_of_tenants ON document_terms TO colloquy_service
  USING (coalesce(tenant_id, '') = ANY ((SELECT current_tenants())::text[]))
  WITH CHECK (coalesce(tenant_id, '') = ANY ((SELECT current_tenants())::text[]));

ALTER TABLE document_stores ENABLE ROW LEVEL SECURITY;
ALTER TABLE document_stores FORCE ROW LEVEL SECURITY;
CREATE POLICY document_stores_of_tenants ON document_stores TO colloquy_service
  USING (coalesce(tenant_id, '') = ANY ((SELECT current_tenants())::text[]))
  WITH CHECK (coalesce(tenant_id, '') = ANY ((SELECT current_tenants())::text[]));

ALTER TABLE failed_migrations ENABLE ROW LEVEL SECURITY;
ALTER TABLE failed_migrations FORCE ROW LEVEL SECURITY;
CREATE POLICY failed_migrations_of_tenants ON failed_migrations TO colloquy_service
  USING (coalesce(tenant_id, '') = ANY ((SELECT current_tenants())::text[]))
  WITH CHECK (coalesce(tenant_id, '') = ANY ((SELECT current_tenants())::text[]));
CREATE POLICY failed_migrations_of_no_user ON failed_migrations AS RESTRICTIVE TO colloquy_service
  USING ((SELECT coalesce(current_setting('colloquy.user_id', true), '') = ''));

-- Locking a row takes the right to update some column of it.
REVOKE ALL ON collections, documents, document_terms, document_stores, failed_migrations FROM PUBLIC;
GRANT SELECT, INSERT (tenant_id, name), UPDATE (created_at), DELETE ON collections TO colloquy_service;
GRANT SELECT, INSERT (tenant_id, collection_id, data), UPDATE (data), DELETE ON documents TO colloquy_service;
GRANT SELECT, INSERT, DELETE ON document_terms TO colloquy_service;
GRANT SELECT, INSERT (tenant_id, name, version, collections), UPDATE (version, target)
   ON document_stores TO colloquy_service;
GRANT SELECT, INSERT (tenant_id, store, collection, document, reason), UPDATE (reason, failed_at), DELETE
   ON failed_migrations TO colloquy_service;

REVOKE EXECUTE ON FUNCTION document_term(text, jsonb), document_terms_of(jsonb), add_document_terms(),
                           change_document_terms(), remove_document_terms() FROM PUBLIC;
GRANT EXECUTE ON FUNCTION document_term(text, jsonb), document_terms_of(jsonb) TO colloquy_service;

COMMENT ON COLUMN idempotency_keys.scope IS 'What kind of request: create, fork, append, turn, documents.';
COMMENT ON COLUMN idempotency_keys.reply IS
  'Of a session that was made: its record as it was then, encoded by the service; null for keys from before. Of '
  'documents: the reply''s JSON.';
