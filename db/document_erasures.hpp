// Deleting collections. One that is in the table of all is hidden at once: its row goes, and what is left of it is
// noted; steps then take its documents away, each a transaction. One that has a table of its own keeps its number, so
// that all of it goes in one transaction. What could not be converted of its documents goes with it.
#pragma once

#include "db/document_queries.hpp"

#include <cstddef>
#include <cstdint>
#include <optional>
#include <vector>

namespace colloquy::db {

/// Documents that one step or statement takes away at most.
inline constexpr std::size_t erased_at_once_max = 5'000;

struct collection_erasure {
  tenant_id tenant;
  std::int64_t collection = 0; ///< collections.id, of one that is gone
};

/// About how many documents a collection has that has a table of its own.
unit count_collection_unit(const document_tables& tables, const delete_collection& wanted);
result<std::int64_t> decode_collection_count(const unit_outcome& outcome);

/// Waits for those who write to the collection. Of one that has a table of its own `documents` at least are expected,
/// and a statement takes `documents_max` of them.
unit delete_collection_unit(const document_tables& tables, const delete_collection& wanted,
                            std::size_t documents_max = erased_at_once_max, std::int64_t documents = 0);
struct collection_deletion {
  std::int64_t documents = 0;
  std::int64_t bytes = 0; ///< added to the tenant's stored bytes; of what is only hidden yet without its documents'
  std::optional<collection_erasure> hidden{}; ///< what is to be erased by steps
};
/// not_found, if there was none and no document.
result<collection_deletion> decode_deletion(const delete_collection& wanted, const unit_outcome& outcome);

/// Nothing is done while another process does the same.
unit erase_documents_unit(const collection_erasure& what, std::size_t documents_max = erased_at_once_max);
struct erased_documents {
  std::int64_t bytes = 0; ///< added to the tenant's stored bytes
  bool is_more = false;   ///< and it is this process that goes on
};
result<erased_documents> decode_erased_documents(const unit_outcome& outcome, std::size_t documents_max);

/// What somebody has begun and nobody finished, of all tenants, oldest first.
unit find_erasures_unit(std::size_t limit);
result<std::vector<collection_erasure>> decode_erasures_found(const unit_outcome& outcome);

} // namespace colloquy::db
