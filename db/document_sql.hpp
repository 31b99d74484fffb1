// Statements about documents, put together from texts of ours and parameters. Inside db/ only.
#pragma once

#include "db/document_tables.hpp"
#include "db/statement.hpp"
#include "messages/document_filter.hpp"
#include "messages/ids.hpp"

#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

namespace colloquy::db {

namespace oids {
inline constexpr oid jsonb = 3802;
inline constexpr oid jsonb_array = 3807;
} // namespace oids

/// As PostgreSQL's binary jsonb: its version and the text.
std::string encode_jsonb(std::string_view json);
/// A literal as JSON.
std::string to_json(const filter_literal& literal);
/// What follows "1" is creation_utc; "" is null.
std::string sort_key_of(std::string_view creation_utc);

/// The parameters of one statement. The tenant is $1 in each.
class composed_statement {
public:
  explicit composed_statement(const tenant_id& tenant);

  /// "$2", "$3", ...
  std::string add(oid type, std::string value);
  std::string add_text(std::string_view value) { return add(oids::text, std::string(value)); }
  std::string add_int8(std::int64_t value) { return add(oids::int8, encode_int8(value)); }
  std::string add_jsonb(std::string_view json) { return add(oids::jsonb, encode_jsonb(json)); }
  std::string add_texts(const std::vector<std::string>& values);
  std::string add_jsonbs(const std::vector<std::string>& values); ///< JSON texts

  statement_call finish(std::string sql) &&;

private:
  std::vector<oid> types_;
  std::vector<std::optional<std::string>> values_;
};

/// Where a collection's documents are, as SQL.
struct collection_sql {
  std::string table; ///< quoted
  std::string id;    ///< an expression: the number of the collection, null if there is none
  std::string name;  ///< the parameter that is the collection's name
  bool has_own_table = false;
};
collection_sql find_collection(composed_statement& statement, const document_tables& tables,
                               const std::string& collection);

/// The number that stands for a collection with a table of its own: always below zero, unlike those of other ones.
std::int64_t own_table_number(std::string_view collection) noexcept;

} // namespace colloquy::db
