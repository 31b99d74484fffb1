#include "db/database_queries.hpp"

#include "db/row_reader.hpp"
#include "db/sql_function_names.hpp"

#include <algorithm>

namespace colloquy::db {
namespace {

constexpr std::int64_t hazards_max = 5000;

// Of every schema that the role may use, but the server's own and that of our views.
#define COLLOQUY_USABLE_SCHEMAS                                                                                        \
  "WITH s AS (SELECT n.oid FROM pg_namespace AS n WHERE n.nspname NOT IN ('information_schema', $2)"                   \
  " AND NOT starts_with(n.nspname, 'pg_') AND has_schema_privilege($1::name, n.oid, 'USAGE')),"                        \
  " r AS (SELECT c.* FROM pg_class AS c WHERE c.relnamespace IN (SELECT oid FROM s)) "

// 'planned': what the planner looks into when it reads the table, and runs whatever calls a function with constants.
// What an expression calls is read from it as it is stored. Writing it out as SQL would take a lock on its table, and
// wait on this shared connection for whoever changes that.
#define COLLOQUY_STORED_EXPRESSIONS                                                                                    \
  ", e AS (SELECT CASE a.attgenerated WHEN '' THEN 'default' WHEN 's' THEN 'generated' ELSE 'planned' END AS kind,"    \
  " r.relname AS name, d.adbin::text AS tree FROM r JOIN pg_attrdef AS d ON d.adrelid = r.oid"                         \
  " JOIN pg_attribute AS a ON a.attrelid = d.adrelid AND a.attnum = d.adnum"                                           \
  " UNION ALL SELECT 'planned', r.relname, c.conbin::text FROM r JOIN pg_constraint AS c ON c.conrelid = r.oid"        \
  " WHERE c.conbin IS NOT NULL"                                                                                        \
  " UNION ALL SELECT 'planned', r.relname, concat(i.indexprs::text, i.indpred::text) FROM r"                           \
  " JOIN pg_index AS i ON i.indrelid = r.oid WHERE i.indexprs IS NOT NULL OR i.indpred IS NOT NULL"                    \
  " UNION ALL SELECT 'planned', r.relname, x.stxexprs::text FROM r"                                                    \
  " JOIN pg_statistic_ext AS x ON x.stxrelid = r.oid WHERE x.stxexprs IS NOT NULL"                                     \
  " UNION ALL SELECT 'partition', r.relname, p.partexprs::text FROM r"                                                 \
  " JOIN pg_partitioned_table AS p ON p.partrelid = r.oid WHERE p.partexprs IS NOT NULL"                               \
  " UNION ALL SELECT 'domain', t.typname, concat(t.typdefaultbin::text, c.conbin::text) FROM pg_type AS t"             \
  " LEFT JOIN pg_constraint AS c ON c.contypid = t.oid WHERE t.typtype = 'd' AND t.typnamespace IN (SELECT oid FROM "  \
  "s)"                                                                                                                 \
  "), f AS (SELECT DISTINCT e.kind, e.name, m.found[2]::oid AS oid FROM e,"                                            \
  " regexp_matches(e.tree, ':(funcid|opfuncid) (\\d+)', 'g') AS m(found)"                                              \
  " WHERE m.found[1] = 'funcid' OR m.found[2]::oid >= 16384) "

constexpr oid hazards_types[] = {oids::text, oids::text, oids::int8};
constexpr statement hazards_statement{
    "database_hazards",
    COLLOQUY_USABLE_SCHEMAS COLLOQUY_STORED_EXPRESSIONS
    "SELECT h.kind, h.name::text, h.calls::text FROM ("
    "SELECT 'function' AS kind, p.proname AS name, '' AS calls FROM pg_proc AS p"
    " WHERE p.pronamespace IN (SELECT oid FROM s)"
    " UNION ALL SELECT 'operator', o.oprname, '' FROM pg_operator AS o WHERE o.oprnamespace IN (SELECT oid FROM s)"
    // Only who owns one of its types can make a cast, so those of others' types are not met.
    " UNION ALL SELECT 'cast', '', '' FROM pg_cast AS c JOIN pg_type AS a ON a.oid = c.castsource"
    " JOIN pg_type AS b ON b.oid = c.casttarget WHERE c.oid >= 16384"
    " AND (a.typnamespace IN (SELECT oid FROM s) OR b.typnamespace IN (SELECT oid FROM s)"
    " OR (a.typnamespace = 'pg_catalog'::regnamespace AND b.typnamespace = 'pg_catalog'::regnamespace))"
    " UNION ALL SELECT 'type', t.typname, '' FROM pg_type AS t"
    " WHERE t.typnamespace IN (SELECT oid FROM s) AND t.typtype = 'd'"
    " UNION ALL SELECT 'relation', r.relname, '' FROM r WHERE r.relkind IN ('v', 'f') OR r.relrowsecurity"
    " OR r.relhasrules"
    " UNION ALL SELECT 'trigger', r.relname, '' FROM r WHERE EXISTS (SELECT FROM pg_trigger AS t"
    " WHERE t.tgrelid = r.oid AND NOT t.tgisinternal)"
    " UNION ALL SELECT 'identity', r.relname, '' FROM r WHERE EXISTS (SELECT FROM pg_attribute AS a"
    " WHERE a.attrelid = r.oid AND a.attidentity <> '')"
    " UNION ALL SELECT f.kind, f.name, CASE WHEN p.pronamespace = 'pg_catalog'::regnamespace THEN p.proname::text"
    " ELSE '' END FROM f LEFT JOIN pg_proc AS p ON p.oid = f.oid"
    " WHERE p.oid IS NULL OR p.pronamespace <> 'pg_catalog'::regnamespace OR p.provolatile <> 'i'"
    " UNION ALL SELECT CASE WHEN c.confdeltype = 'd' OR c.confupdtype = 'd' THEN 'sets defaults' ELSE 'cascade' END,"
    " r.relname, '' FROM r JOIN pg_constraint AS c ON c.conrelid = r.oid"
    " WHERE c.contype = 'f' AND (c.confdeltype IN ('c', 'n', 'd') OR c.confupdtype IN ('c', 'n', 'd'))"
    " UNION ALL SELECT DISTINCT 'keyed', k.relname, '' FROM r JOIN pg_constraint AS c"
    " ON r.oid IN (c.conrelid, c.confrelid) JOIN pg_class AS k ON k.oid IN (c.conrelid, c.confrelid)"
    " WHERE c.contype = 'f'"
    " UNION ALL SELECT 'heir', r.relname, p.relname FROM r JOIN pg_inherits AS i ON i.inhrelid = r.oid"
    " JOIN pg_class AS p ON p.oid = i.inhparent"
    ") AS h LIMIT $3",
    hazards_types};

constexpr oid type_names_types[] = {oids::int8_array, oids::int4_array};
constexpr statement type_names_statement{
    "type_names",
    "SELECT t.number, t.modifier, format_type(t.number::oid, t.modifier) FROM unnest($1, $2) AS t(number, modifier)",
    type_names_types};

constexpr oid role_types[] = {oids::text};
constexpr statement role_settings_statement{
    "database_role_settings",
    "SELECT count(*) FROM pg_db_role_setting AS s JOIN pg_roles AS r ON r.oid = s.setrole WHERE r.rolname = $1",
    role_types};

constexpr oid backend_types[] = {oids::int4};
constexpr statement backend_role_statement{
    "database_backend_role",
    "SELECT a.usename::text FROM pg_stat_activity AS a WHERE a.pid = $1 AND a.datname = current_database()"
    " AND a.usename IS NOT NULL",
    backend_types};

#define COLLOQUY_VISIBLE_TABLES                                                                                        \
  "WITH t AS (SELECT c.oid, n.nspname, c.relname, c.relkind FROM pg_class AS c"                                        \
  " JOIN pg_namespace AS n ON n.oid = c.relnamespace"                                                                  \
  " WHERE c.relkind IN ('r', 'p', 'v', 'm', 'f') AND n.nspname <> 'information_schema'"                                \
  " AND NOT starts_with(n.nspname, 'pg_') AND has_schema_privilege($1::name, n.oid, 'USAGE')"                          \
  " AND has_table_privilege($1::name, c.oid, 'SELECT') ORDER BY n.nspname, c.relname LIMIT $2) "

constexpr oid describe_types[] = {oids::text, oids::int8};
constexpr statement tables_statement{
    "database_tables",
    COLLOQUY_VISIBLE_TABLES
    "SELECT t.nspname::text, t.relname::text, CASE t.relkind WHEN 'v' THEN 'view' WHEN 'm' THEN 'materialized view'"
    " WHEN 'f' THEN 'foreign table' ELSE 'table' END, coalesce(obj_description(t.oid, 'pg_class'), ''),"
    " has_table_privilege($1::name, t.oid, 'INSERT') FROM t ORDER BY t.nspname, t.relname",
    describe_types};
constexpr statement columns_statement{
    "database_columns",
    COLLOQUY_VISIBLE_TABLES
    "SELECT t.nspname::text, t.relname::text, a.attname::text, format_type(a.atttypid, a.atttypmod), NOT a.attnotnull,"
    // Without the table's number, nothing is locked; only what is generated names columns of it.
    " coalesce(CASE WHEN a.attgenerated <> '' THEN 'generated' ELSE pg_get_expr(d.adbin, 0) END, CASE WHEN "
    "a.attidentity <> '' THEN 'identity' END, ''),"
    " coalesce(col_description(t.oid, a.attnum), '') FROM t JOIN pg_attribute AS a ON a.attrelid = t.oid"
    " LEFT JOIN pg_attrdef AS d ON d.adrelid = t.oid AND d.adnum = a.attnum"
    " WHERE a.attnum > 0 AND NOT a.attisdropped ORDER BY t.nspname, t.relname, a.attnum",
    describe_types};
constexpr statement keys_statement{
    "database_keys",
    COLLOQUY_VISIBLE_TABLES
    "SELECT t.nspname::text, t.relname::text, c.conname::text, pg_get_constraintdef(c.oid) FROM t"
    " JOIN pg_constraint AS c ON c.conrelid = t.oid WHERE c.contype IN ('p', 'u', 'f')"
    " ORDER BY t.nspname, t.relname, c.contype = 'p' DESC, c.conname",
    describe_types};

bool has_one_of(const std::set<std::string>& names, const std::set<std::string>& of, std::string& which) {
  const auto found = std::find_if(names.begin(), names.end(), [&](const auto& name) { return of.contains(name); });
  if (found != names.end())
    which = *found;
  return found != names.end();
}

using name_pairs = std::set<std::pair<std::string, std::string>>;

/// With what is reached from them, over as many steps as it takes.
void add_reached(std::set<std::string>& names, const name_pairs& steps) {
  for (bool has_grown = true; has_grown;) {
    has_grown = false;
    for (const auto& [from, to] : steps)
      has_grown = (names.contains(from) && names.insert(to).second) || has_grown;
  }
}

} // namespace

unit read_database_hazards(const database_logins& logins, database_access access) {
  return {{{&hazards_statement, {logins.of(access).role, logins.views_schema, encode_int8(hazards_max + 1)}}}};
}

database_hazards decode_database_hazards(const unit_outcome& outcome) {
  database_hazards hazards;
  if (outcome.failure || outcome.results.empty()) {
    hazards.of_all = "what the tenant's own objects do could not be looked up";
    return hazards;
  }
  const auto& found = outcome.results.back();
  std::set<std::string> heirs, cascades, keyed, reached; // reached: what a change by a key's action runs, too
  std::set<std::string> partitioned;
  name_pairs heirs_to_parents, parents_to_heirs;
  if (found.count() > hazards_max)
    hazards.of_all = "the tenant has too many objects of its own to look through";
  for (int at = 0; at < found.count(); ++at) {
    row_reader row(found, at);
    const auto kind = row.text();
    auto name = row.text();
    const auto calls = row.text();
    if (kind == "operator")
      hazards.of_all = "a schema that it may use has operators which are not the server's own";
    else if (kind == "cast")
      hazards.of_all = "there are casts which are not the server's own";
    else if (kind == "sets defaults")
      hazards.of_changes = "a key's action sets defaults";
    else if (kind == "heir") {
      heirs.insert(name);
      heirs_to_parents.emplace(name, calls);
      parents_to_heirs.emplace(calls, std::move(name));
    } else if (kind == "keyed")
      keyed.insert(std::move(name));
    else if (kind == "cascade")
      cascades.insert(std::move(name));
    else if (kind == "identity")
      hazards.if_written.insert(std::move(name));
    else if (kind == "function" || kind == "type" || kind == "relation")
      hazards.names.insert(std::move(name));
    else if (kind != "trigger" && (leaves_nothing_behind(calls) || is_no_function(calls)))
      continue;
    else if (kind == "domain")
      hazards.of_all = "the default or a check of the domain " + name + " may change the session";
    else if (kind == "partition") {
      hazards.of_changes = "what " + name + " is partitioned by may change the session";
      partitioned.insert(std::move(name));
    } else {
      if (kind != "default")
        reached.insert(name);
      if (kind == "planned")
        hazards.if_read.insert(name);
      hazards.if_written.insert(std::move(name));
    }
  }
  // What a table is cut by tells which rows its parts can have, and so is looked into when they are read.
  add_reached(partitioned, parents_to_heirs);
  hazards.if_read.merge(partitioned);
  add_reached(hazards.if_read, heirs_to_parents); // who reads a table reads its heirs
  std::string which;                              // what is written to its parent reaches it without its name
  if (hazards.of_changes.empty() && has_one_of(heirs, hazards.if_written, which))
    hazards.of_changes = which + " inherits, and its defaults, checks or triggers may change the session";
  if (hazards.of_changes.empty() && has_one_of(cascades, reached, which))
    hazards.of_changes = "a key's action reaches " + which + ", whose checks or triggers may change the session";
  if (hazards.of_changes.empty() && has_one_of(keyed, hazards.if_read, which)) // who changes one end reads the other
    hazards.of_changes = "a key is looked up in " + which + ", whose indexes or checks may change the session";
  return hazards;
}

std::string doubt_about(const sql_effects& effects, const database_hazards& hazards) {
  if (!effects.doubt.empty())
    return effects.doubt;
  const bool looks_at_objects = effects.kind == sql_kind::query || effects.kind == sql_kind::change ||
                                effects.kind == sql_kind::prepare || effects.kind == sql_kind::execute;
  if (!looks_at_objects)
    return {};
  if (!hazards.of_all.empty())
    return hazards.of_all;
  std::string which;
  if (has_one_of(effects.names, hazards.names, which))
    return "it names " + which + ", which may run anything";
  if (has_one_of(effects.names, hazards.if_read, which))
    return "it reads " + which + ", whose indexes, statistics, partitions or checks may change the session";
  if (!effects.writes)
    return {};
  if (!hazards.of_changes.empty())
    return hazards.of_changes;
  if (has_one_of(effects.names, hazards.if_written, which))
    return "it writes to " + which + ", whose defaults, checks or triggers may change the session";
  return {};
}

unit read_type_names(const std::vector<column_type_key>& types) {
  array_builder numbers(oids::int8, types.size(), 8 * types.size());
  array_builder modifiers(oids::int4, types.size(), 4 * types.size());
  for (const auto& [number, modifier] : types) {
    numbers.add(encode_int8(number));
    modifiers.add(encode_int4(modifier));
  }
  return {{{&type_names_statement, {std::move(numbers).finish(), std::move(modifiers).finish()}}}};
}

std::map<column_type_key, std::string> decode_type_names(const unit_outcome& outcome) {
  std::map<column_type_key, std::string> names;
  if (outcome.failure || outcome.results.empty())
    return names;
  for (int at = 0; at < outcome.results.back().count(); ++at) {
    row_reader row(outcome.results.back(), at);
    const auto number = static_cast<std::uint32_t>(row.int8());
    const auto modifier = row.int4();
    names[{number, modifier}] = row.optional_text().value_or("unknown");
  }
  return names;
}

unit read_database_schema(const database_logins& logins, database_access access) {
  const auto& role = logins.of(access).role;
  const auto most = encode_int8(static_cast<std::int64_t>(schema_tables_max) + 1);
  return {{{&tables_statement, {role, most}}, {&columns_statement, {role, most}}, {&keys_statement, {role, most}}}};
}

database_schema decode_database_schema(const unit_outcome& outcome) {
  database_schema schema;
  if (outcome.failure || outcome.results.size() != 3)
    return schema;
  std::map<std::pair<std::string, std::string>, std::size_t> places;
  for (int at = 0; at < outcome.results[0].count(); ++at) {
    if (schema.tables.size() == schema_tables_max) {
      schema.truncated = true;
      break;
    }
    row_reader row(outcome.results[0], at);
    schema_table table;
    table.schema = row.text();
    table.name = row.text();
    table.kind = row.text();
    table.comment = row.text();
    table.is_writable = row.boolean();
    places[{table.schema, table.name}] = schema.tables.size();
    schema.tables.push_back(std::move(table));
  }
  const auto table_of = [&](row_reader& row) -> schema_table* {
    auto in = row.text();
    auto found = places.find({std::move(in), row.text()});
    return found == places.end() ? nullptr : &schema.tables[found->second];
  };
  for (int at = 0; at < outcome.results[1].count(); ++at) {
    row_reader row(outcome.results[1], at);
    auto* table = table_of(row);
    schema_column column;
    column.name = row.text();
    column.type = row.text();
    column.is_nullable = row.boolean();
    column.default_value = row.text();
    column.comment = row.text();
    if (table)
      table->columns.push_back(std::move(column));
  }
  for (int at = 0; at < outcome.results[2].count(); ++at) {
    row_reader row(outcome.results[2], at);
    auto* table = table_of(row);
    schema_key key;
    key.name = row.text();
    key.definition = row.text();
    if (table)
      table->keys.push_back(std::move(key));
  }
  return schema;
}

unit read_role_settings(const std::string& role) {
  return {{{&role_settings_statement, {role}}}};
}

bool decode_role_settings(const unit_outcome& outcome) {
  return !outcome.failure && !outcome.results.empty() && outcome.results.back().count() == 1 &&
         decode_int8(outcome.results.back().get(0, 0)) > 0;
}

unit read_backend_role(std::int32_t pid) {
  return {{{&backend_role_statement, {encode_int4(pid)}}}};
}

std::optional<std::string> decode_backend_role(const unit_outcome& outcome) {
  if (outcome.failure || outcome.results.empty() || outcome.results.back().count() == 0)
    return std::nullopt;
  return row_reader(outcome.results.back(), 0).text();
}

sql_value_kind value_kind_of(std::uint32_t type) noexcept {
  switch (type) {
  case oids::boolean:
    return sql_value_kind::boolean;
  case oids::int2:
  case oids::int4:
  case oids::int8:
  case 26:   // oid
  case 700:  // real
  case 701:  // double precision
  case 1700: // numeric
    return sql_value_kind::number;
  case 114:  // json
  case 3802: // jsonb
    return sql_value_kind::json;
  default:
    return sql_value_kind::text;
  }
}

} // namespace colloquy::db
