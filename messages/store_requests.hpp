// Stores: collections whose documents are all of one version, recorded once, and moved on to the next one together.
//
// Opening is once only, whoever does it at the same time, in whichever process: a document is converted exactly once,
// and a crash in the middle is gone on from by whoever opens next. The recorded version moves when all is done.
// Which of two versions is newer, messages/store_version.hpp tells. Documents of a version newer than the one to come
// stay as they are.
#pragma once

#include "messages/document_requests.hpp"

#include <functional>
#include <memory>
#include <optional>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

namespace colloquy {

/// What became of one document on its way from one version to the next: its new text, or why not.
using converted_document = result<std::string>;

/// One step of a chain: documents of version `from` become such of version `to`. In this order: rename (fields that are
/// there, all at once; a document that has a field of the new name already, not itself renamed, fails), remove, set,
/// set_default (where the field is missing), then `convert`, then `version` is set to `to`. Nothing may change `id`. An
/// exception in `convert` counts as an error.
struct document_converter {
  std::optional<std::string> from{}; ///< none: documents whose version is null
  std::string to;
  std::optional<std::string> collection{}; ///< only there; none: in every collection of the store
  std::vector<std::pair<std::string, std::string>> rename{};
  std::vector<std::string> remove{};
  std::vector<std::pair<std::string, std::string>> set{};         ///< field, JSON
  std::vector<std::pair<std::string, std::string>> set_default{}; ///< field, JSON
  /// A host's own, called in an actor of its own: it may compute, and must not block for long.
  std::shared_ptr<const std::function<converted_document(std::string_view document)>> convert{};
};

/// Opens a store, and so makes it the first time, when every document is taken for current; but the version that is
/// recorded in the metadata table of adopted tables is taken over, and so are the documents in their tables of failed
/// ones. One that is open at this
/// version is answered without reading a document. Errors: store_outdated, migration_required, conflict (the store has
/// other collections), invalid_request (converters that contradict each other or go round in a circle).
struct opened_store {
  std::string version;
  std::optional<std::string> previous_version{}; ///< as it was recorded when this opening began; none: it was made
  std::int64_t migrated = 0;                     ///< by this call
  std::int64_t failed = 0;                       ///< by this call: now in the failed migrations
};
struct open_store {
  using reply = opened_store;
  tenant_id tenant;
  std::string store; ///< as a collection's name
  std::string version;
  bool allow_migration = false;
  std::vector<document_converter> converters{};
  /// Recorded when it is made; none: the one of the store's own name, and later those that are recorded.
  std::vector<std::string> collections{};
  bool retry_failed = false; ///< failed ones go through the converters once more
};

/// Documents that no converter could bring to the store's version, whole, in the order in which they failed.
struct failed_migration {
  std::string collection;
  std::string document; ///< as it was
  std::string reason;
  timestamp failed_at{};
};
struct failed_migration_page {
  std::vector<failed_migration> items;
  std::string next_cursor{};
};
/// Errors: not_found, if no such store was ever opened.
struct list_failed_migrations {
  using reply = failed_migration_page;
  tenant_id tenant;
  std::string store;
  std::size_t limit = limits::page_default;
  std::string cursor{};
};

} // namespace colloquy
