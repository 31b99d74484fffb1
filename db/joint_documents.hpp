// Documents of several collections that are asked about, or change, in one transaction: units of single requests
// (db/document_queries.hpp) put behind each other, and what only makes sense between them.
#pragma once

#include "db/document_queries.hpp"
#include "db/document_tables.hpp"
#include "db/statement.hpp"
#include "messages/document_filter.hpp"

#include <cstddef>
#include <cstdint>
#include <optional>
#include <string>
#include <vector>

namespace colloquy::db {

/// Parts that commit together or not at all, each with an outcome of its own to be decoded.
class joint_unit {
public:
  /// Gives the part's number.
  std::size_t add(unit part);
  unit take() && { return std::move(whole_); }
  /// For outcome_of, once the unit is gone.
  std::vector<std::size_t> ends() const { return ends_; }

private:
  unit whole_;
  std::vector<std::size_t> ends_; // where each part's calls end
};
/// The failure of the whole is that of each part.
unit_outcome outcome_of(const std::vector<std::size_t>& ends, std::size_t part, const unit_outcome& whole);

/// Makes the whole unit fail, as with required, if that idempotency key is there already. Whoever else has it under way
/// is waited for.
unit first_time_unit(const tenant_id& tenant, const idempotency& repeat);
/// What is to be given again under that key, a JSON text; in the same unit.
unit keep_reply_unit(const tenant_id& tenant, const idempotency& repeat, const std::string& reply);
unit kept_reply_unit(const tenant_id& tenant, const idempotency& repeat);
/// None: there is no such key. Errors: idempotency_mismatch.
result<std::optional<std::string>> decode_kept_reply(const idempotency& repeat, const unit_outcome& outcome);

/// Makes the whole unit fail unless the collection has a document of that id, or has got it from this very unit; it
/// stays there until the unit has ended. `alone`: those who ask for the same wait for each other.
enum class required : std::uint8_t { there, alone, made_here };
unit require_unit(const document_tables& tables, const tenant_id& tenant, const std::string& collection,
                  const std::string& id, required how = required::there);
/// Makes the whole unit fail unless the documents that match have fewer values of that field than so many.
unit require_fewer_unit(const document_tables& tables, const tenant_id& tenant, const std::string& collection,
                        const document_filter& where, const std::string& field, std::size_t fewer_than);
/// Whether it failed because of one of these.
bool was_missing(const unit_outcome& outcome) noexcept;

/// Deletes all that match.
unit delete_all_unit(const document_tables& tables, const tenant_id& tenant, const std::string& collection,
                     const document_filter& where);
struct documents_gone {
  std::int64_t count = 0;
  std::int64_t bytes = 0; ///< added to the tenant's stored bytes: less than 0
};
result<documents_gone> decode_gone(const unit_outcome& outcome);

} // namespace colloquy::db
