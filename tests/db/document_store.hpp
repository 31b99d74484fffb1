// Documents by the units of the product, on a connection of the product to a database of its own.
#pragma once

#include "db/document_erasures.hpp"
#include "db/document_queries.hpp"
#include "tests/db/driven_connection.hpp"
#include "tests/support/catch.hpp"

#include <initializer_list>
#include <string>
#include <utility>
#include <vector>

namespace colloquy::test {

inline document_filter filter_of(const std::string& json) {
  auto filter = parse_filter(json);
  if (!filter)
    FAIL(filter.failure().message);
  return *filter;
}

/// {"id": id, "version": "1", "creation_utc": null, more}
inline std::string document_of(const std::string& id, const std::string& more = "",
                               const std::string& creation_utc = "null") {
  return "{\"id\": \"" + id + "\", \"version\": \"1\", \"creation_utc\": " + creation_utc +
         (more.empty() ? "" : ", " + more) + "}";
}

class document_store {
public:
  document_store()
    : document_store(test_database::make()) {}
  explicit document_store(test_database made, db::document_tables of = {})
    : database(std::move(made))
    , tables(std::move(of))
    , connection(target_of(database)) {
    REQUIRE(connection.make_ready());
  }

  db::unit_outcome run(db::unit work) {
    const auto tag = ++last_tag_;
    connection.submit(tag, std::move(work.calls));
    return connection.outcome(tag);
  }

  result<db::written<documents_inserted>> insert(const insert_documents& wanted) {
    return db::decode_inserted(wanted, run(db::insert_unit(tables, wanted)));
  }
  result<db::written<documents_inserted>> insert(std::vector<std::string> documents) {
    return insert(insert_documents{tenant, collection, std::move(documents)});
  }
  /// Those documents, which must be new.
  void fill(std::vector<std::string> documents) {
    const auto done = insert(std::move(documents));
    if (!done)
      FAIL(done.failure().message);
  }

  find_documents query(const std::string& where) {
    find_documents wanted;
    wanted.tenant = tenant;
    wanted.collection = collection;
    wanted.where = filter_of(where);
    return wanted;
  }
  /// Where few may be all there are, they are found both ways.
  result<document_page> find(const find_documents& wanted) {
    auto work = db::find_unit(tables, wanted);
    if (!work)
      return work.failure();
    auto page = db::decode_page(wanted, run(std::move(*work)));
    if (auto few = db::find_few_unit(tables, wanted); few && page) {
      const auto all = db::decode_few(run(std::move(*few)));
      REQUIRE(all);
      std::size_t bytes = 0;
      for (const auto& each : page->documents)
        bytes += each.size();
      REQUIRE(all->has_value() == (page->next_cursor.empty() && bytes < limits::page_bytes_max));
      if (*all) {
        CHECK((*all)->documents == page->documents);
        CHECK((*all)->total_count == page->total_count);
      }
    }
    return page;
  }
  /// The ids of a page, with spaces between.
  std::string ids(const document_page& page) {
    std::string out;
    for (const auto& each : page.documents)
      out += (out.empty() ? "" : " ") + id_of(each);
    return out;
  }
  std::string found(const std::string& where) {
    const auto page = find(query(where));
    if (!page)
      return page.failure().message;
    CHECK(page->total_count == static_cast<std::int64_t>(page->documents.size()));
    return ids(*page);
  }
  /// As the server reads it.
  std::string id_of(const std::string& document) {
    const auto begin = document.find("\"id\": \"") + 7;
    return document.substr(begin, document.find('"', begin) - begin);
  }

  update_document change(const std::string& where, const std::string& set) {
    update_document wanted;
    wanted.tenant = tenant;
    wanted.collection = collection;
    wanted.where = filter_of(where);
    wanted.set = set;
    return wanted;
  }
  result<db::written<document_updated>> update(const update_document& wanted) {
    return db::decode_updated(wanted, run(db::update_unit(tables, wanted)));
  }
  result<db::written<document_updated>> update(const std::string& where, const std::string& set) {
    return update(change(where, set));
  }
  result<db::written<document_updated>> upsert(const update_document& wanted) {
    return db::decode_updated(wanted, run(db::upsert_unit(tables, wanted)));
  }
  result<db::written<document_deleted>> remove(const std::string& where) {
    delete_document wanted;
    wanted.tenant = tenant;
    wanted.collection = collection;
    wanted.where = filter_of(where);
    return db::decode_deleted(run(db::delete_unit(tables, wanted)));
  }
  /// Hides it; one with a table of its own is gone then.
  result<db::collection_deletion> drop(std::size_t documents_max = db::erased_at_once_max) {
    const delete_collection wanted{tenant, collection};
    const auto expected = db::decode_collection_count(run(db::count_collection_unit(tables, wanted)));
    return db::decode_deletion(wanted, run(db::delete_collection_unit(tables, wanted, documents_max, *expected)));
  }
  result<db::erased_documents> erase(const db::collection_erasure& what, std::size_t documents_max) {
    return db::decode_erased_documents(run(db::erase_documents_unit(what, documents_max)), documents_max);
  }
  std::string collections() {
    list_collections wanted;
    wanted.tenant = tenant;
    const auto page = db::decode_collections(wanted, run(db::collections_unit(wanted)));
    std::string out;
    for (const auto& each : page->collections)
      out += (out.empty() ? "" : " ") + each.name;
    return out;
  }
  std::string count(const std::string& table, const std::string& where = "true") {
    return database.value("SELECT count(*) FROM " + table + " WHERE " + where);
  }
  /// Whether the terms that are there are those of the documents that are there, and as many are counted as are there.
  bool terms_fit(const std::string& table = "documents") {
    const std::string counted =
        "SELECT c.tenant_id, c.collection_id, sum(c.documents)::bigint FROM collection_counts AS c"
        " WHERE c.collection_id IN (SELECT collection_id FROM " +
        table + ") GROUP BY c.tenant_id, c.collection_id";
    const std::string to_count =
        "SELECT d.tenant_id, d.collection_id, count(*) FROM " + table + " AS d GROUP BY d.tenant_id, d.collection_id";
    if (count("((" + counted + " EXCEPT " + to_count + ") UNION ALL (" + to_count + " EXCEPT " + counted +
                  ")) AS x(tenant_id, collection_id, documents)",
              "documents <> 0") != "0")
      return false;
    const std::string expected = "SELECT d.tenant_id, d.collection_id, t, d.sort_key, d.id FROM " + table +
                                 " AS d, document_terms_of(d.data) AS t";
    const std::string there = "SELECT t.tenant_id, t.collection_id, t.term, t.sort_key, t.id FROM document_terms AS t"
                              " WHERE t.collection_id IN (SELECT collection_id FROM " +
                              table + ")";
    return count("((" + expected + " EXCEPT " + there + ") UNION ALL (" + there + " EXCEPT " + expected + ")) AS x") ==
           "0";
  }

  tenant_id tenant = tenant_id::parse("acme").value();
  std::string collection = "things";
  test_database database;
  db::document_tables tables;
  driven_connection connection;

private:
  std::uint64_t last_tag_ = 0;
};

inline std::string code_of(const error& why) {
  return std::string(to_string(why.code));
}
template <class T>
std::string code_of(const result<T>& outcome) {
  return outcome ? "" : code_of(outcome.failure());
}

} // namespace colloquy::test
