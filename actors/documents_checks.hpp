// What is refused of a request about documents before the database is asked.
#pragma once

#include "messages/document_requests.hpp"
#include "messages/error.hpp"
#include "messages/store_requests.hpp"

#include <cstddef>
#include <optional>

namespace colloquy::actors {

/// A refusal names the place as a pointer into the request as HTTP has it: "/documents/3/id must be ...". A single
/// document is the whole request: "/id must be ...". No document may have more than `bytes_max`.
std::optional<error> check_request(const insert_documents& request, std::size_t bytes_max);
std::optional<error> check_request(const find_documents& request);
std::optional<error> check_request(const find_document& request);
std::optional<error> check_request(const update_document& request, std::size_t bytes_max);
std::optional<error> check_request(const delete_document& request);
std::optional<error> check_request(const list_collections& request);
std::optional<error> check_request(const delete_collection& request);
/// Its converters are checked when a plan is made of them.
std::optional<error> check_request(const open_store& request);
std::optional<error> check_request(const list_failed_migrations& request);

/// Of an upsert that matched nothing: what it sets is to be a document.
std::optional<error> check_upsert(const update_document& request, std::size_t bytes_max);

} // namespace colloquy::actors
