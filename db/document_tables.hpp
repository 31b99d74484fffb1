// Which table a collection's documents are in: Colloquy's own `documents`, or one of the tables of a framework's stores
// that a database may have already (config/settings.hpp: the three *_table_prefix settings). A collection is in such a
// table if it is named like it: prefix and what follows, as in "parlant_sessions_events".
#pragma once

#include "config/settings.hpp"
#include "messages/error.hpp"

#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <vector>

namespace colloquy::db {

/// One of the tables of a store.
struct store_table {
  std::string collection;              ///< prefix and what follows
  std::string table;                   ///< the same, cut to what PostgreSQL keeps of a name
  bool holds_documents = true;         ///< false: it is where another program puts what it could not convert
  bool has_index_on_data = false;      ///< a GIN index, which those programs query by
  std::vector<std::string> id_columns; ///< of session_id, customer_id and agent_id, those that have an index
  std::string metadata{};              ///< the collection in which the version of these documents is recorded
};

/// Immutable, cheap to read from several threads; without settings there are no such tables.
class document_tables {
public:
  document_tables() = default;
  explicit document_tables(const config::settings& settings);

  /// The table's name as it is in the catalog, unquoted; nullptr: the collection is in `documents`.
  const std::string* find(std::string_view collection) const noexcept;
  /// The same with all that is known of it.
  const store_table* find_table(std::string_view collection) const noexcept;
  /// The table for what another program could not convert of that collection's documents.
  static std::string failed_table_of(const std::string& collection);

  /// Stores in the order of the settings, the tables of each in the order in which they are made.
  std::span<const store_table> all() const noexcept { return tables_; }

private:
  void add_store(const std::string& prefix, const std::vector<std::string_view>& collections, bool sessions);

  std::vector<store_table> tables_;
};

/// invalid_request if two of the tables would be one, or one would be a table of Colloquy's own: names the prefix' table.
std::optional<error> find_name_problem(const document_tables& tables);

/// What PostgreSQL keeps of a name: its first 63 bytes.
std::string cut_to_name(std::string_view text);

} // namespace colloquy::db
