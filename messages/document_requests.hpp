// What may be asked about documents. Plain values, as in session_requests.hpp.
//
// A collection is made by the first insert into it, and belongs to one tenant. A collection that has no documents
// answers as one that never was. `as_user`, where it is set, confines a request to documents whose customer_id is that
// user: others do not match, and one that would become another's is forbidden, as is writing to the collections of the
// stores of customers and context variables, whose documents hold for all users.
//
// Errors that each may end with: invalid_request (a name, a filter, a limit, a cursor, a document),
// database_unavailable, overloaded, deadline_exceeded, internal. What changes something is answered when it is durable.
#pragma once

#include "messages/document.hpp"
#include "messages/document_filter.hpp"
#include "messages/session_requests.hpp"

#include <chrono>
#include <cstdint>
#include <optional>
#include <string>
#include <variant>
#include <vector>

namespace colloquy {

/// All or none. Errors: conflict (an id is there already, or twice in the request; the message names it),
/// payload_too_large, forbidden, idempotency_mismatch.
struct documents_inserted {
  std::vector<std::string> ids; ///< in the order of the request
};
struct insert_documents {
  using reply = documents_inserted;
  tenant_id tenant;
  std::string collection;
  std::vector<std::string> documents; ///< JSON texts, 1 to limits::documents_per_insert_max
  std::optional<idempotency> repeat{};
  std::optional<std::string> as_user{};
};

/// Ordered by (creation_utc, id) by code point, or by id alone; a document without creation_utc comes first.
struct document_order {
  enum class key : std::uint8_t { creation_utc, id };
  key by = key::creation_utc;
  bool is_descending = false;
};

/// A page of what matches. A cursor is a place strictly after which the page begins; it need not name a document that
/// is there. What is there all along is on exactly one page, whatever is inserted meanwhile.
struct document_page {
  std::vector<std::string> documents{}; ///< JSON texts
  std::string next_cursor{};            ///< "" if these are the last
  std::int64_t total_count = 0;         ///< of all that match, on every page
};
struct find_documents {
  using reply = document_page;
  tenant_id tenant;
  std::string collection;
  document_filter where{};
  document_order order{};
  std::size_t limit = limits::page_default;                              ///< 1 to limits::page_events_max
  std::variant<std::monostate, std::string, document_position> cursor{}; ///< from the beginning, from a reply, a place
  std::optional<std::string> as_user{};
};

/// Fields one after the other, then (creation_utc, id) ascending. Of one field: missing first, then null, booleans,
/// numbers by value, strings by code point, arrays and objects as if they were one; descending turns all of it round.
struct field_order {
  std::string field;
  bool is_descending = false;
};
struct found_document {
  std::optional<std::string> document{};
};
struct find_document {
  using reply = found_document;
  tenant_id tenant;
  std::string collection;
  document_filter where{};
  std::variant<document_order, std::vector<field_order>> order{}; ///< 1 to limits::sort_fields_max fields
  std::optional<std::string> as_user{};
};

/// The first that matches, in order of (creation_utc, id), gets the fields of `set`: a shallow merge, where null is
/// stored. Updates of different fields at once both stay. Errors: conflict (`set` has an id that is taken),
/// payload_too_large (what it would become), forbidden.
struct document_updated {
  std::int64_t matched = 0;              ///< 0 or 1
  std::int64_t modified = 0;             ///< 0 or 1: whether it is not as it was
  std::optional<std::string> document{}; ///< as it is now, whether it still matches or not; one that was inserted, too
};
struct update_document {
  using reply = document_updated;
  tenant_id tenant;
  std::string collection;
  document_filter where{};
  std::string set;        ///< a JSON object, see check_document_changes
  bool is_upsert = false; ///< on no match `set` is inserted as it is; then it must be a whole document
  std::optional<idempotency> repeat{};
  std::optional<std::string> as_user{};
};

struct document_deleted {
  std::optional<std::string> document{}; ///< as it was; none: none matched
};
struct delete_document {
  using reply = document_deleted;
  tenant_id tenant;
  std::string collection;
  document_filter where{};
  std::optional<std::string> as_user{};
};

/// Those that have documents, or have had some and were not deleted, by name.
struct collection_record {
  std::string name;
  timestamp created_at{};
};
struct collection_page {
  std::vector<collection_record> collections;
  std::string next_cursor{};
};
struct list_collections {
  using reply = collection_page;
  tenant_id tenant;
  std::size_t limit = limits::page_default;
  std::string cursor{};
};

/// With all of its documents. Errors: not_found.
struct collection_deleted {
  std::int64_t documents = 0;
};
struct delete_collection {
  using reply = collection_deleted;
  tenant_id tenant;
  std::string collection;
};

} // namespace colloquy
