#include "db/document_sql.hpp"

#include "db/migrator_session.hpp"
#include "db/session_queries.hpp"
#include "messages/document_fields.hpp"

#include <limits>
#include <utility>

namespace colloquy::db {
namespace {

/// A statement that is longer is parsed anew each time: hardly anybody asks the same twice.
constexpr std::size_t kept_sql_bytes_max = 16 * 1024;

} // namespace

std::string encode_jsonb(std::string_view json) {
  std::string out;
  out.reserve(json.size() + 1);
  out += '\x01';
  out += json;
  return out;
}

std::string to_json(const filter_literal& literal) {
  if (literal.kind == literal_kind::null)
    return "null";
  if (literal.kind != literal_kind::string)
    return literal.text;
  std::string out;
  append_json_string(out, literal.text);
  return out;
}

std::string sort_key_of(std::string_view creation_utc) {
  return "1" + std::string(creation_utc);
}

composed_statement::composed_statement(const tenant_id& tenant) {
  add_text(tenant.text());
}

std::string composed_statement::add(oid type, std::string value) {
  types_.push_back(type);
  values_.emplace_back(std::move(value));
  return "$" + std::to_string(values_.size());
}

std::string composed_statement::add_texts(const std::vector<std::string>& values) {
  array_builder out(oids::text, values.size(), values.size() * 16);
  for (const auto& value : values)
    out.add(value);
  return add(oids::text_array, std::move(out).finish());
}

std::string composed_statement::add_jsonbs(const std::vector<std::string>& values) {
  std::size_t bytes = 0;
  for (const auto& value : values)
    bytes += value.size() + 1;
  array_builder out(oids::jsonb, values.size(), bytes);
  for (const auto& value : values)
    out.add(encode_jsonb(value));
  return add(oids::jsonb_array, std::move(out).finish());
}

statement_call composed_statement::finish(std::string sql) && {
  auto text = std::make_shared<caller_statement>();
  text->keep_prepared = sql.size() <= kept_sql_bytes_max;
  text->sql = std::move(sql);
  text->parameter_types = std::move(types_);
  text->is_binary = true;
  return {nullptr, std::move(values_), std::move(text)};
}

collection_sql find_collection(composed_statement& statement, const document_tables& tables,
                               const std::string& collection) {
  const auto name = statement.add_text(collection);
  if (const auto* table = tables.find(collection))
    return {quote_identifier(*table), statement.add_int8(own_table_number(collection)), name, true};
  return {"documents", "(SELECT c.id FROM collections AS c WHERE c.tenant_id = $1 AND c.name = " + name + ")", name,
          false};
}

std::int64_t own_table_number(std::string_view collection) noexcept {
  return idempotency_hash("collection", collection) | std::numeric_limits<std::int64_t>::min();
}

} // namespace colloquy::db
