// Reading and writing documents. One function makes the unit of a request, another reads its outcome.
//
// Every unit sets its tenant for the transaction and names it as a parameter too; one with `as_user` sets the user as
// well. Names and values are parameters; the only texts of ours that vary are the shape of a filter and the quoted name
// of a table from the settings.
//
// What the requests' own checks have found (messages/document.hpp, messages/document_filter.hpp) is not checked again:
// names of collections, documents, filters and limits must be right. All but data errors are as in to_error().
#pragma once

#include "db/document_tables.hpp"
#include "db/statement.hpp"
#include "messages/document_requests.hpp"
#include "messages/error.hpp"

#include <cstdint>
#include <optional>

namespace colloquy::db {

/// Whether nothing was done only because another request did something at the same moment, in one of the parts of a
/// joint unit too: the same unit again finds what that one left. Once more is enough; what is still lost then is
/// answered by the decode functions as a conflict.
bool lost_race(const unit_outcome& outcome) noexcept;

/// Of a reply that was written: what it added to the tenant's stored bytes (documents as jsonb writes them), less than
/// 0 if it took some away.
template <class Reply>
struct written {
  Reply reply{};
  std::int64_t bytes = 0;
  bool is_repeated = false; ///< the first answer under that idempotency key; nothing was done now
};

/// Makes the collection if need be.
unit insert_unit(const document_tables& tables, const insert_documents& wanted);
/// conflict names the id that is taken; forbidden; idempotency_mismatch; payload_too_large.
result<written<documents_inserted>> decode_inserted(const insert_documents& wanted, const unit_outcome& outcome);

/// A cursor that no page of this order has given is invalid_request. A page ends at `limit`, or once it has
/// limits::page_bytes_max bytes, but has one document at least.
result<unit> find_unit(const document_tables& tables, const find_documents& wanted);
result<document_page> decode_page(const find_documents& wanted, const unit_outcome& outcome);
/// The same of a first page that an index finds and that is most often all there is: quicker, as nothing is counted.
/// None for any other page: find_unit.
std::optional<unit> find_few_unit(const document_tables& tables, const find_documents& wanted);
/// None if there is more than a page holds, or as many bytes: find_unit shows and counts it.
result<std::optional<document_page>> decode_few(const unit_outcome& outcome);

unit find_one_unit(const document_tables& tables, const find_document& wanted);
result<found_document> decode_one(const unit_outcome& outcome);

/// Only the update, also of a request that is an upsert. If that matched nothing (and the request is an upsert) run
/// upsert_unit, which updates or inserts, one such after the other in a collection, so that of several at once with the
/// same filter one inserts and the others update. A request with `repeat` is an upsert: both units answer a repetition.
/// What becomes of a document may have `bytes_max`, or as much as it had.
unit update_unit(const document_tables& tables, const update_document& wanted,
                 std::size_t bytes_max = limits::document_bytes_max);
unit upsert_unit(const document_tables& tables, const update_document& wanted,
                 std::size_t bytes_max = limits::document_bytes_max);
/// Of either. conflict: `set` has an id that is taken. payload_too_large, forbidden, idempotency_mismatch.
result<written<document_updated>> decode_updated(const update_document& wanted, const unit_outcome& outcome,
                                                 std::size_t bytes_max = limits::document_bytes_max);

unit delete_unit(const document_tables& tables, const delete_document& wanted);
result<written<document_deleted>> decode_deleted(const unit_outcome& outcome);

/// By name. A collection in a table of its own is among them once it was written to by us, or adopted with documents.
unit collections_unit(const list_collections& wanted);
result<collection_page> decode_collections(const list_collections& wanted, const unit_outcome& outcome);

} // namespace colloquy::db
