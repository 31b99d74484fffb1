#include "db/document_table_adoption.hpp"

#include "db/document_sql.hpp"
#include "db/migrator.hpp"
#include "db/migrator_session.hpp"

#include <set>

namespace colloquy::db {

// The tables come as rows of a JSON array: table, whether it holds documents, its columns of ids, whether it has an
// index on data. Their policies must say what those of the table documents do.
const char* const missing_of_store_tables = R"sql(
WITH wanted AS (
  SELECT t.*, c.oid AS id, c.relrowsecurity AND c.relforcerowsecurity AS is_secured
    FROM pg_catalog.jsonb_to_recordset($2::jsonb) AS t("table" text, documents boolean, ids text[], on_data boolean)
    LEFT JOIN pg_catalog.pg_class AS c ON c.relname = t."table" AND c.relkind IN ('r', 'p')
          AND c.relnamespace = (SELECT n.oid FROM pg_catalog.pg_namespace AS n WHERE n.nspname = $1)
), keys AS (
  SELECT i.indrelid AS id, i.indisprimary AS is_primary, m.amname AS method,
         (SELECT string_agg(a.attname, ' ' ORDER BY k.n)
            FROM unnest(i.indkey) WITH ORDINALITY AS k(number, n)
            JOIN pg_catalog.pg_attribute AS a ON a.attrelid = i.indrelid AND a.attnum = k.number) AS columns
    FROM pg_catalog.pg_index AS i JOIN pg_catalog.pg_class AS c ON c.oid = i.indexrelid
    JOIN pg_catalog.pg_am AS m ON m.oid = c.relam
   WHERE i.indrelid IN (SELECT w.id FROM wanted AS w) AND i.indisvalid
), needs AS (
  SELECT w.id, w."table", 'index on (' || n.columns || ') of ' || w."table" AS what, n.columns, n.method, n.is_primary
    FROM wanted AS w, LATERAL (
      SELECT 'tenant_id collection_id id' AS columns, 'btree' AS method, true AS is_primary
      UNION ALL SELECT 'tenant_id collection_id sort_key id', 'btree', false
      UNION ALL SELECT 'tenant_id collection_id ' || c || ' sort_key id', 'btree', false FROM unnest(w.ids) AS c
      UNION ALL SELECT 'data', 'gin', false WHERE w.on_data) AS n
   WHERE w.documents AND w.id IS NOT NULL
)
SELECT 'table ' || w."table" FROM wanted AS w WHERE w.id IS NULL
UNION ALL
SELECT 'column ' || c || ' of ' || w."table"
  FROM wanted AS w, unnest(CASE WHEN w.documents THEN '{tenant_id,collection_id,sort_key,bytes}'::text[]
                                ELSE '{tenant_id}'::text[] END) AS c
 WHERE w.id IS NOT NULL
   AND NOT EXISTS (SELECT FROM pg_catalog.pg_attribute AS a
                    WHERE a.attrelid = w.id AND a.attname = c AND NOT a.attisdropped)
UNION ALL
SELECT n.what FROM needs AS n
 WHERE NOT EXISTS (SELECT FROM keys AS k WHERE k.id = n.id AND k.columns = n.columns AND k.method = n.method
                                           AND k.is_primary = n.is_primary)
UNION ALL
SELECT 'trigger ' || t || ' on ' || w."table"
  FROM wanted AS w, unnest('{complete_document,documents_inserted,documents_updated,documents_deleted,
                             documents_truncated}'::text[]) AS t
 WHERE w.documents AND w.id IS NOT NULL
   AND NOT EXISTS (SELECT FROM pg_catalog.pg_trigger AS g
                    WHERE g.tgrelid = w.id AND g.tgname = t AND g.tgenabled = 'O')
UNION ALL
SELECT 'forced row level security of ' || w."table" FROM wanted AS w WHERE w.id IS NOT NULL AND NOT w.is_secured
UNION ALL
SELECT 'policy ' || p || ' on ' || w."table"
  FROM wanted AS w, unnest(CASE WHEN w.documents THEN '{documents_of_tenants,documents_of_user}'::text[]
                                ELSE '{documents_of_tenants}'::text[] END) AS p
 WHERE w.id IS NOT NULL
   AND NOT EXISTS (SELECT FROM pg_catalog.pg_policy AS o JOIN pg_catalog.pg_policy AS d ON d.polname = o.polname
                    WHERE o.polrelid = w.id AND o.polname = p
                      AND d.polrelid = (SELECT c.oid FROM pg_catalog.pg_class AS c
                                          JOIN pg_catalog.pg_namespace AS n ON n.oid = c.relnamespace
                                         WHERE n.nspname = $1 AND c.relname = 'documents')
                      AND o.polcmd = d.polcmd AND o.polpermissive = d.polpermissive AND o.polroles = d.polroles
                      AND pg_catalog.pg_get_expr(o.polqual, o.polrelid) = pg_catalog.pg_get_expr(d.polqual, d.polrelid)
                      AND pg_catalog.pg_get_expr(o.polwithcheck, o.polrelid)
                          = pg_catalog.pg_get_expr(d.polwithcheck, d.polrelid))
UNION ALL
SELECT 'the taking away of policy ' || quote_ident(o.polname) || ' on ' || w."table"
  FROM wanted AS w JOIN pg_catalog.pg_policy AS o ON o.polrelid = w.id
 WHERE o.polname NOT IN ('documents_of_tenants', 'documents_of_user')
UNION ALL
SELECT 'grants on ' || w."table" || ' to colloquy_service'
  FROM wanted AS w
 WHERE w.id IS NOT NULL AND EXISTS (SELECT FROM pg_catalog.pg_roles AS r WHERE r.rolname = 'colloquy_service')
   AND NOT CASE WHEN w.documents
                THEN pg_catalog.has_table_privilege('colloquy_service', w.id, 'SELECT')
                     AND pg_catalog.has_table_privilege('colloquy_service', w.id, 'DELETE')
                     AND pg_catalog.has_any_column_privilege('colloquy_service', w.id, 'INSERT')
                     AND pg_catalog.has_any_column_privilege('colloquy_service', w.id, 'UPDATE')
                ELSE pg_catalog.has_table_privilege('colloquy_service', w.id, 'SELECT') END
)sql";

namespace {

std::string json_string(const std::string& text) {
  return to_json({literal_kind::string, text});
}

std::string json_array(const std::vector<std::string>& texts) {
  std::string out;
  for (const auto& each : texts)
    out += (out.empty() ? "" : ", ") + json_string(each);
  return "[" + out + "]";
}

std::string adoption_of(const store_table& table) {
  const auto name = quote_literal(table.collection);
  if (!table.holds_documents)
    return "SELECT adopt_failed_table(" + name + ");\n";
  std::string ids;
  for (const auto& each : table.id_columns)
    ids += (ids.empty() ? "" : ",") + each;
  return "SELECT adopt_document_table(" + name + ", " + std::to_string(own_table_number(table.collection)) + ", '{" +
         ids + "}', " + (table.has_index_on_data ? "true" : "false") + ");\nSELECT guard_document_table(" + name +
         ");\n";
}

/// Names of the tables of which something is missing.
result<std::set<std::string>> find_incomplete(migrator_session& session, std::string_view schema,
                                              const document_tables& tables) {
  std::set<std::string> incomplete;
  for (const auto& each : tables.all()) {
    auto found = session.query(missing_of_store_tables, {std::string(schema), store_tables_parameter({&each, 1})});
    if (found.failed)
      return to_error(*found.failed, "cannot look at the table " + quote_identifier(each.table));
    if (!found.rows.empty())
      incomplete.insert(each.table);
  }
  return incomplete;
}

} // namespace

std::string store_tables_parameter(std::span<const store_table> tables) {
  std::string out;
  for (const auto& each : tables)
    out += (out.empty() ? "" : ", ") + ("{\"table\": " + json_string(each.table)) +
           ", \"documents\": " + (each.holds_documents ? "true" : "false") +
           ", \"ids\": " + json_array(each.id_columns) +
           ", \"on_data\": " + (each.has_index_on_data ? "true" : "false") + "}";
  return "[" + out + "]";
}

result<std::vector<std::string>> adopt_store_tables(const std::string& conninfo, std::string_view schema,
                                                    const document_tables& tables) {
  std::vector<std::string> adopted;
  if (tables.all().empty())
    return adopted;
  if (auto problem = find_name_problem(tables))
    return *std::move(problem);
  auto session = migrator_session::open(conninfo);
  if (!session)
    return session.failure();
  if (auto begun = session->run(migration_head(schema)); begun.failed)
    return to_error(*begun.failed, "cannot take the lock that migrations hold");
  auto incomplete = find_incomplete(*session, schema, tables);
  if (!incomplete)
    return incomplete.failure();
  for (const auto& each : tables.all()) {
    if (!incomplete->contains(each.table))
      continue;
    if (auto done = session->run(adoption_of(each)); done.failed)
      return to_error(*done.failed, "the table " + quote_identifier(each.table) +
                                        " could not be made or adopted, nothing of it remains");
    adopted.push_back(each.table);
  }
  auto ended = session->run("COMMIT");
  if (ended.failed)
    return to_error(*ended.failed, "the stores' tables were not committed");
  return adopted;
}

result<std::vector<std::string>> find_missing_of_store_tables(const std::string& conninfo, std::string_view schema,
                                                              const document_tables& tables) {
  std::vector<std::string> missing;
  if (tables.all().empty())
    return missing;
  auto session = migrator_session::open(conninfo);
  if (!session)
    return session.failure();
  auto found = session->query(missing_of_store_tables, {std::string(schema), store_tables_parameter(tables.all())});
  if (found.failed)
    return to_error(*found.failed, "cannot look at the stores' tables");
  for (auto& row : found.rows)
    missing.push_back(row.front().value_or(""));
  return missing;
}

std::string print_adoption_sql(std::string_view schema, const document_tables& tables) {
  if (tables.all().empty())
    return "";
  std::string out = "\n-- The tables of the stores that have a prefix\n" + migration_head(schema);
  for (const auto& each : tables.all())
    out += adoption_of(each);
  return out + "COMMIT;\n";
}

} // namespace colloquy::db
