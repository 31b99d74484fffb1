#include "db/document_tables.hpp"

#include <algorithm>
#include <array>
#include <set>
#include <utility>

namespace colloquy::db {
namespace {

constexpr std::string_view failed_suffix = "failed_migrations";

/// All that migrations make (db/migrations/).
constexpr std::array<std::string_view, 27> own_names{"api_keys",
                                                     "audit_log",
                                                     "collection_counts",
                                                     "collections",
                                                     "database_roles",
                                                     "database_tenants",
                                                     "deleted_events",
                                                     "document_erasures",
                                                     "document_stores",
                                                     "document_terms",
                                                     "documents",
                                                     "erasures",
                                                     "events",
                                                     "failed_migrations",
                                                     "idempotency_keys",
                                                     "logs",
                                                     "participants",
                                                     "processes",
                                                     "schema_migrations",
                                                     "service_keys",
                                                     "session_labels",
                                                     "sessions",
                                                     "shards",
                                                     "tenants",
                                                     "turns",
                                                     "usage_meters",
                                                     "writers"};

/// A store's own collection has no name behind the prefix, so that what fails in it has two underscores.
std::string failed_name(const std::string& collection) {
  return collection + "_" + std::string(failed_suffix);
}

store_table documents_in(std::string collection) {
  store_table table;
  table.table = cut_to_name(collection);
  table.collection = std::move(collection);
  return table;
}

store_table failed_ones_of(const std::string& collection) {
  auto table = documents_in(failed_name(collection));
  table.holds_documents = false;
  return table;
}

} // namespace

std::string cut_to_name(std::string_view text) {
  constexpr std::size_t bytes_max = 63;
  return std::string(text.substr(0, bytes_max));
}

document_tables::document_tables(const config::settings& settings) {
  if (settings.sessions_table_prefix)
    add_store(*settings.sessions_table_prefix, {"events"}, true);
  if (settings.customers_table_prefix)
    add_store(*settings.customers_table_prefix, {"customer_tag_associations"}, false);
  if (settings.context_variables_table_prefix)
    add_store(*settings.context_variables_table_prefix, {"variable_tag_associations", "values"}, false);
}

void document_tables::add_store(const std::string& prefix, const std::vector<std::string_view>& collections,
                                bool sessions) {
  auto main = documents_in(prefix);
  main.metadata = prefix + "metadata";
  main.has_index_on_data = true;
  main.id_columns = {"session_id", "customer_id", "agent_id"};
  tables_.push_back(std::move(main));
  tables_.push_back(failed_ones_of(prefix));
  tables_.push_back(documents_in(prefix + "metadata"));
  for (const auto& name : collections) {
    auto other = documents_in(prefix + std::string(name));
    other.has_index_on_data = true;
    other.metadata = prefix + "metadata";
    if (sessions)
      other.id_columns = {"session_id"};
    const auto failed = failed_ones_of(other.collection);
    tables_.push_back(std::move(other));
    tables_.push_back(failed);
  }
}

const std::string* document_tables::find(std::string_view collection) const noexcept {
  const auto* found = find_table(collection);
  return found ? &found->table : nullptr;
}

const store_table* document_tables::find_table(std::string_view collection) const noexcept {
  const auto found = std::find_if(tables_.begin(), tables_.end(), [&](const store_table& each) {
    return each.holds_documents && each.collection == collection;
  });
  return found == tables_.end() ? nullptr : &*found;
}

std::string document_tables::failed_table_of(const std::string& collection) {
  return cut_to_name(failed_name(collection));
}

std::optional<error> find_name_problem(const document_tables& tables) {
  std::set<std::string_view> seen;
  for (const auto& each : tables.all()) {
    const bool is_own = std::find(own_names.begin(), own_names.end(), each.table) != own_names.end();
    if (!is_own && seen.insert(each.table).second)
      continue;
    return error{error_code::invalid_request,
                 "the table \"" + each.table + "\" of the collection \"" + each.collection + "\" " +
                     (is_own ? "is one of Colloquy's own" : "would belong to two collections at once") +
                     "; choose another prefix (sessions_table_prefix, customers_table_prefix, "
                     "context_variables_table_prefix)"};
  }
  return std::nullopt;
}

} // namespace colloquy::db
