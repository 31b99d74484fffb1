// The documents that match a filter, in order, as SQL. Inside db/ only.
//
// Which index serves is decided here and written so that the planner cannot decide otherwise: the service's plans are
// made once, for any parameters, and perhaps while the tables were empty. A page costs what it returns, and what it
// passes over that the rest of the filter refuses, wherever in the collection it begins:
//   a filter with ids          those documents
//   with one customer_id,
//   session_id or agent_id     the index of that column, if the table has one
//   with other equalities      document_terms; of several that must all hold, the rarest in that collection
//   with alternatives          the same for each value, the first of each put in order
//   any other                  all documents in order, or by id
#pragma once

#include "db/document_filter_sql.hpp"
#include "messages/document_requests.hpp"

#include <optional>
#include <string>
#include <utility>
#include <variant>
#include <vector>

namespace colloquy::db {

/// By (sort_key, id), or by id alone.
struct place_order {
  document_order by{};
  /// Strictly after this place: sort key and id.
  std::optional<std::pair<std::string, std::string>> after{};
};
using match_order = std::variant<place_order, std::vector<field_order>>;

class document_matches {
public:
  /// Refers to the statement.
  document_matches(composed_statement& statement, const document_tables& tables, const std::string& collection,
                   const document_filter& where);

  const collection_sql& collection() const noexcept { return collection_; }

  /// A SELECT of the columns sort_key, id, bytes, data: the first `limit` in that order.
  std::string select(const match_order& order, std::size_t limit) const;

  /// A SELECT of the number of all that match. Of all there are it is kept; of one equality only document_terms is
  /// read: the number is as exact as its terms are unlike each other, which are 64 bits.
  std::string count() const;
  /// An expression: a number that is another after each change of the collection; 0 if nothing was ever in it.
  std::string stamp() const;

  /// A SELECT of id, bytes, data of the first by (sort_key, id) that matches, which it locks: one that has changed
  /// meanwhile is looked at again. `candidates` is a SELECT that must stand before it as the relation `candidates`, ""
  /// if there is none; where that has rows and this has not, other requests were faster with all of them.
  struct locking_select {
    std::string candidates;
    std::string target;
  };
  locking_select lock_first(const std::string& condition) const;

  /// The condition that `alias` is the document of that id.
  std::string is_document(const std::string& alias, const std::string& id) const;

private:
  enum class way { scan, column, lookup };
  enum class counting { documents, term, all };

  std::string in_collection(const std::string& alias) const;
  std::string scan(const std::string& columns, const std::string& more) const;
  std::string looked_up(const std::string& id) const;
  std::string terms() const;
  std::vector<std::string> branches(const std::string& columns, const match_order& order,
                                    const std::optional<std::string>& limit) const;
  std::string after(const match_order& order, const std::string& alias) const;
  std::string order_by(const match_order& order, const std::string& alias) const;
  std::string field_order_by(const std::vector<field_order>& fields, const std::string& alias) const;
  void choose_way(const document_filter& where, const store_table* own_table);
  void choose_counting(const document_filter& where);

  composed_statement& statement_;
  collection_sql collection_;
  std::optional<filter_cover> cover_;
  way way_ = way::scan;
  counting counting_ = counting::documents;
  std::string column_condition_;
  std::string filter_;             // about d
  std::string ids_, keys_, terms_; // array expressions; "" if there are none
};

} // namespace colloquy::db
