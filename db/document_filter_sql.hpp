// A filter as a condition in SQL, and what of it an index can serve. Inside db/ only.
//
// A condition is about one document, `d`, with the columns of the table documents; it never fails on what a document
// holds. It may be null where it does not hold, which is as good as false: nothing in it is negated that may be null.
#pragma once

#include "db/document_sql.hpp"
#include "messages/document_filter.hpp"

#include <optional>
#include <string>
#include <utility>
#include <vector>

namespace colloquy::db {

/// The filter and, if the request is in a user's name, that it is that user's document.
document_filter with_user(const document_filter& where, const std::optional<std::string>& as_user);

/// `document` is the name that stands for `d`.
std::string to_sql(composed_statement& statement, const document_filter& where, const std::string& document);

/// Values of which every document that matches has one at least: finding those with one of them finds all.
struct filter_cover {
  std::vector<std::string> ids;
  std::vector<std::string> sort_keys;
  std::vector<std::pair<std::string, std::string>> terms; ///< field and JSON
  /// If set, every document that matches has all of `terms` (and there are no ids and sort keys): any one will do.
  bool is_any_enough = false;

  std::size_t size() const noexcept { return ids.size() + sort_keys.size() + terms.size(); }
};
/// None: nothing of it is served by a lookup.
std::optional<filter_cover> find_cover(const document_filter& where);

} // namespace colloquy::db
