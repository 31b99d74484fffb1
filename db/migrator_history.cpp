#include "db/migrator_history.hpp"

#include <algorithm>
#include <cstdlib>

namespace colloquy::db {

namespace {

// Other tools use the same name for a table of their own, most of them in `public` too.
constexpr const char* columns_sql = R"sql(
SELECT c.oid::text, count(a.attname) FILTER (WHERE a.attname IN ('number', 'name', 'checksum', 'applied_at'))
  FROM pg_catalog.pg_class c
  JOIN pg_catalog.pg_namespace n ON n.oid = c.relnamespace
  LEFT JOIN pg_catalog.pg_attribute a ON a.attrelid = c.oid AND a.attnum > 0 AND NOT a.attisdropped
 WHERE n.nspname = $1 AND c.relname = 'schema_migrations'
 GROUP BY c.oid
)sql";

// The owner's policy asks who owns the table now, so that it holds after a change of owner or a restore under another.
constexpr const char* table_body = R"sql(BEGIN
  IF to_regclass(format('%I.schema_migrations', current_schema())) IS NOT NULL THEN
    RETURN;
  END IF;
  CREATE TABLE schema_migrations (
    number     integer NOT NULL PRIMARY KEY CHECK (number >= 1),
    name       text COLLATE "C" NOT NULL,
    checksum   text COLLATE "C" NOT NULL CHECK (char_length(checksum) = 64),
    applied_at timestamptz NOT NULL DEFAULT now()
  );
  COMMENT ON TABLE schema_migrations IS 'The steps that brought this schema to where it is; written by migrations only.';
  COMMENT ON COLUMN schema_migrations.number IS 'Counts from 1 without a gap.';
  COMMENT ON COLUMN schema_migrations.name IS 'What the step was called.';
  COMMENT ON COLUMN schema_migrations.checksum IS 'SHA-256 of its text: an applied step must never change.';
  COMMENT ON COLUMN schema_migrations.applied_at IS 'When it was applied.';
  ALTER TABLE schema_migrations ENABLE ROW LEVEL SECURITY;
  ALTER TABLE schema_migrations FORCE ROW LEVEL SECURITY;
  CREATE POLICY schema_migrations_of_owner ON schema_migrations
    USING (pg_has_role((SELECT relowner FROM pg_class WHERE oid = 'schema_migrations'::regclass), 'USAGE'));
  CREATE POLICY schema_migrations_for_service ON schema_migrations FOR SELECT
    TO colloquy_service, colloquy_system USING (true);
  REVOKE ALL ON schema_migrations FROM PUBLIC;
  GRANT SELECT ON schema_migrations TO colloquy_service, colloquy_system;
END)sql";

std::string four_digits(int number) {
  auto digits = std::to_string(number);
  return digits.size() < 4 ? std::string(4 - digits.size(), '0') + digits : digits;
}

const migration* find_known(std::span<const migration> all, int number) {
  const auto found = std::find_if(all.begin(), all.end(), [&](const auto& one) { return one.number == number; });
  return found == all.end() ? nullptr : &*found;
}

std::string joined(const std::vector<std::string>& parts, const char* between) {
  std::string out;
  for (const auto& part : parts)
    out += (out.empty() ? "" : between) + part;
  return out;
}

} // namespace

std::string title(int number, std::string_view name) {
  return four_digits(number) + "_" + std::string(name);
}

result<std::vector<recorded_migration>> read_history(migrator_session& session, std::string_view schema) {
  std::vector<recorded_migration> out;
  const auto table = quote_identifier(schema) + ".schema_migrations";
  auto columns = session.query(columns_sql, {std::string(schema)});
  if (columns.failed)
    return to_error(*columns.failed, "cannot look for " + table);
  if (columns.rows.empty())
    return out;
  if (columns.rows.front()[1].value_or("") != "4")
    return error{error_code::conflict, table + " is there but belongs to another program: choose another schema"};
  auto found = session.query("SELECT number, name, checksum FROM " + table + " ORDER BY number");
  if (found.failed)
    return to_error(*found.failed, "cannot read " + table);
  for (const auto& row : found.rows)
    out.push_back({std::atoi(row[0].value_or("0").c_str()), row[1].value_or(""), row[2].value_or("")});
  return out;
}

history_comparison compare_history(const std::vector<recorded_migration>& recorded, std::span<const migration> all) {
  history_comparison out;
  int expected = 1;
  for (const auto& one : recorded) {
    for (; expected < one.number; ++expected) {
      const auto* known = find_known(all, expected);
      out.changed.push_back("migration " + (known ? title(known->number, known->name) : four_digits(expected)) +
                            " is not recorded although " + title(one.number, one.name) + " after it is");
    }
    expected = one.number + 1;
    const auto* known = find_known(all, one.number);
    if (known == nullptr)
      out.newer.push_back(title(one.number, one.name));
    else if (known->checksum != one.checksum)
      out.changed.push_back("migration " + title(one.number, one.name) + " was applied with the text of checksum " +
                            one.checksum + " but is " + title(known->number, known->name) + " with checksum " +
                            std::string(known->checksum) + " in this program");
  }
  for (const auto& one : all)
    if (one.number >= expected)
      out.pending.push_back(&one);
  return out;
}

result<void> check_history(const history_comparison& compared, const std::vector<recorded_migration>& recorded,
                           std::span<const migration> all, std::string_view schema) {
  const auto where = "schema " + quote_identifier(schema);
  if (!compared.newer.empty()) {
    const auto& last = recorded.back();
    return error{error_code::conflict,
                 where + " is at " + title(last.number, last.name) + ", newer than this program, which knows up to " +
                     (all.empty() ? "nothing" : title(all.back().number, all.back().name)) +
                     "; unknown here: " + joined(compared.newer, ", ") + ". Use the newer program"};
  }
  if (!compared.changed.empty())
    return error{error_code::conflict,
                 where + " was not made by this program's migrations: " + joined(compared.changed, "; ")};
  return {};
}

result<void> check_migrations(std::span<const migration> all) {
  int expected = 1;
  for (const auto& one : all)
    if (one.number != expected++)
      return error{error_code::internal, "the program's migrations have a gap: " + title(one.number, one.name) +
                                             " is where " + four_digits(expected - 1) + " should be"};
  return {};
}

std::string history_table_script() {
  return "DO " + quote_dollar(table_body) + ";\n";
}

std::string record_script(const migration& one) {
  return "INSERT INTO schema_migrations (number, name, checksum) VALUES (" + std::to_string(one.number) + ", " +
         quote_literal(one.name) + ", " + quote_literal(one.checksum) + ");\n";
}

std::string guard_script(const migration& one) {
  const auto number = std::to_string(one.number);
  return "DO " +
         quote_dollar("BEGIN\n  IF (SELECT coalesce(max(number), 0) FROM schema_migrations) <> " + number +
                      " - 1 THEN\n    RAISE EXCEPTION 'migration " + number + " comes next after " +
                      std::to_string(one.number - 1) +
                      " only; recorded up to now: %', (SELECT coalesce(max(number), 0) FROM schema_migrations);\n"
                      "  END IF;\nEND") +
         ";\n";
}

} // namespace colloquy::db
