// Stores and their versions, and the documents that are brought from one version to the next.
//
// A migration is a row of units, each of which commits by itself, so that whoever opens the store next goes on where
// one broke off, and two at once convert each document once:
//   open_store_unit        the record; made now if there is none
//   begin_migration_unit   takes note of where it goes, if the record is still what was seen
//   unsettled_unit         documents of other versions, page by page, by id
//   write_converted_unit   puts the new text where the old one still is; moves what failed
//   finish_migration_unit  moves the recorded version if no document of another version is left
// then, if asked for, failed_unit and write_retried_unit. Units with a page of documents end it at a number of bytes.
#pragma once

#include "db/document_queries.hpp"
#include "messages/store_requests.hpp"

#include <cstdint>
#include <optional>
#include <string>
#include <vector>

namespace colloquy::db {

struct store_record {
  std::string version;                 ///< of all its documents, but while they are migrated
  std::optional<std::string> target{}; ///< where a migration goes that has begun and not ended
  std::vector<std::string> collections;
  bool was_made = false;  ///< by this unit
  std::int64_t bytes = 0; ///< added to the tenant's stored bytes: documents that were taken over
};

/// Of `wanted` only tenant, name, version and collections are used, and those only if the store is made. One whose
/// collections have tables of their own takes over the version that is recorded beside them, if there is one, and the
/// documents that another program could not convert.
unit open_store_unit(const document_tables& tables, const open_store& wanted);
result<store_record> decode_store(const unit_outcome& outcome);

struct store_place {
  tenant_id tenant;
  std::string store;
};

/// From now on `target` is where the migration goes, if the record still has the version and target of `seen`.
unit begin_migration_unit(const store_place& store, const store_record& seen, const std::string& target);
/// Whether it was so. If not, look at the store again.
result<bool> decode_begun(const unit_outcome& outcome);

/// A document whose version is not one of `settled`.
struct unsettled_document {
  std::string id;
  std::optional<std::string> version{}; ///< none: null, or (in adopted tables) not a string
  std::string document;
};
/// Ids strictly after `after`, by code point; at most `limit`. `settled` are the target and what is newer than it.
unit unsettled_unit(const document_tables& tables, const store_place& store, const std::string& collection,
                    const std::vector<std::string>& settled, const std::string& after, std::size_t limit);
/// None: there are no more.
result<std::vector<unsettled_document>> decode_unsettled(const unit_outcome& outcome);

/// What became of a document: its new text, or why there is none.
struct document_conversion {
  std::string id;
  std::string before;  ///< as it was read
  std::string after{}; ///< "": it failed
  std::string reason{};
};
struct conversions_written {
  std::int64_t migrated = 0;
  std::int64_t failed = 0;
  std::int64_t bytes = 0; ///< added to the tenant's stored bytes; what is moved stays stored
};
/// All in one transaction. What is not any more as it was read is left alone: it is unsettled still, or another process
/// has done it. Does nothing if the store's migration does not go to `target` any more: then read the store again.
unit write_converted_unit(const document_tables& tables, const store_place& store, const std::string& collection,
                          const std::string& target, const std::vector<document_conversion>& conversions);
result<conversions_written> decode_converted(const unit_outcome& outcome);

/// The recorded version becomes `target` if that is still where it goes and no document of `collections` has a version
/// that is not `settled`.
unit finish_migration_unit(const document_tables& tables, const store_place& store, const std::string& target,
                           const std::vector<std::string>& collections, const std::vector<std::string>& settled);
/// The record as it is now; finished if its version is the target.
result<store_record> decode_finished(const unit_outcome& outcome);

/// A bad cursor is invalid_request; a store that never was, not_found.
result<unit> list_failed_unit(const list_failed_migrations& wanted);
result<failed_migration_page> decode_failed_page(const list_failed_migrations& wanted, const unit_outcome& outcome);

/// A failed one with the number that it is known by.
struct failed_document {
  std::int64_t number = 0;
  std::string collection;
  std::string id;
  std::optional<std::string> version{};
  std::string document;
};
/// Numbers strictly greater than `after`, from the smallest on.
unit failed_unit(const store_place& store, std::int64_t after, std::size_t limit);
result<std::vector<failed_document>> decode_failed(const unit_outcome& outcome);

struct retried_conversion {
  std::int64_t number = 0;
  std::string after{}; ///< "": it failed again
  std::string reason{};
};
/// Those that succeeded are documents of `collection` again, all of one unit in the same one, and failed no more; where
/// the id has been taken meanwhile, and where it failed again, it stays with the (new) reason. Each number counts once,
/// whoever else retries it. `migrated` are those that are documents again, `failed` those that stay.
unit write_retried_unit(const document_tables& tables, const store_place& store, const std::string& collection,
                        const std::vector<retried_conversion>& conversions);
/// Decoded by decode_converted.

} // namespace colloquy::db
