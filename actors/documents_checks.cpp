#include "actors/documents_checks.hpp"

#include "actors/request_checks.hpp"
#include "actors/tenants_checks.hpp"
#include "messages/json_scan.hpp"
#include "messages/text_checks.hpp"

#include <set>
#include <string>
#include <utility>

namespace colloquy::actors {
namespace {

/// A refusal of what is at this place: a pointer into that goes on with it.
error at_place(const std::string& place, error why) {
  if (!place.empty())
    why.message = place + (why.message.starts_with('/') ? "" : ": ") + why.message;
  return why;
}

std::optional<error> problem_of(const std::string& place, result<void> checked) {
  return checked ? std::nullopt : std::optional(at_place(place, std::move(checked.failure())));
}

std::optional<error> check_name(std::string_view what, const std::string& name) {
  if (is_collection_name(name))
    return std::nullopt;
  return invalid(std::string(what) + " must be valid UTF-8 without NUL, 1 to " +
                 std::to_string(limits::name_chars_max) + " characters");
}

std::optional<error> check_scope(const std::string& collection, const std::optional<std::string>& as_user) {
  if (as_user && !is_storable_name(*as_user))
    return invalid("the user's name must be valid UTF-8 without NUL, 1 to " + std::to_string(limits::name_chars_max) +
                   " characters");
  return check_name("a collection's name", collection);
}

std::optional<error> check_where(const document_filter& where) {
  return problem_of("/where", check_filter(where));
}

std::optional<error> check_cursor(const std::string& cursor) {
  return is_storable_text(cursor) ? std::nullopt : std::optional(invalid("/cursor is none that a reply has given"));
}

std::optional<error> check_position(const document_position& at) {
  if (is_storable_text(at.id) && is_storable_text(at.creation_utc.value_or("")))
    return std::nullopt;
  return invalid("/cursor must have an id and a creation_utc that are valid UTF-8 without NUL");
}

std::optional<error> check_fields(const std::vector<field_order>& fields) {
  if (fields.empty() || fields.size() > limits::sort_fields_max)
    return invalid("/sort has " + std::to_string(fields.size()) + " fields; 1 to " +
                   std::to_string(limits::sort_fields_max) + " are allowed");
  for (std::size_t i = 0; i < fields.size(); ++i)
    if (!is_storable_text(fields[i].field))
      return invalid("/sort/" + std::to_string(i) + "/field must be valid UTF-8 without NUL");
  return std::nullopt;
}

} // namespace

std::optional<error> check_request(const insert_documents& request, std::size_t bytes_max) {
  if (auto problem = first_of({check_scope(request.collection, request.as_user), check_repeat(request.repeat)}))
    return problem;
  const auto count = request.documents.size();
  if (count == 0 || count > limits::documents_per_insert_max)
    return invalid("/documents has " + std::to_string(count) + "; 1 to " +
                   std::to_string(limits::documents_per_insert_max) + " are allowed");
  std::set<std::string> ids;
  for (std::size_t i = 0; i < count; ++i) {
    auto head = check_document(request.documents[i], bytes_max);
    if (!head)
      return at_place(count == 1 ? "" : "/documents/" + std::to_string(i), std::move(head.failure()));
    const auto [id, is_new] = ids.insert(std::move(head->id));
    if (!is_new)
      return error{error_code::conflict, "the id " + colloquy::quoted(*id) + " is twice in the request"};
  }
  return std::nullopt;
}

std::optional<error> check_request(const find_documents& request) {
  if (auto problem = first_of(
          {check_scope(request.collection, request.as_user), check_where(request.where), check_limit(request.limit)}))
    return problem;
  if (const auto* cursor = std::get_if<std::string>(&request.cursor))
    return check_cursor(*cursor);
  if (const auto* position = std::get_if<document_position>(&request.cursor))
    return check_position(*position);
  return std::nullopt;
}

std::optional<error> check_request(const find_document& request) {
  if (auto problem = first_of({check_scope(request.collection, request.as_user), check_where(request.where)}))
    return problem;
  const auto* fields = std::get_if<std::vector<field_order>>(&request.order);
  return fields ? check_fields(*fields) : std::nullopt;
}

std::optional<error> check_request(const update_document& request, std::size_t bytes_max) {
  return first_of({check_scope(request.collection, request.as_user), check_repeat(request.repeat),
                   check_where(request.where), problem_of("/set", check_document_changes(request.set, bytes_max))});
}

std::optional<error> check_request(const delete_document& request) {
  return first_of({check_scope(request.collection, request.as_user), check_where(request.where)});
}

std::optional<error> check_request(const list_collections& request) {
  return first_of({check_limit(request.limit), check_cursor(request.cursor)});
}

std::optional<error> check_request(const delete_collection& request) {
  return check_scope(request.collection, std::nullopt);
}

std::optional<error> check_request(const open_store& request) {
  if (auto problem = first_of({check_name("a store's name", request.store), check_name("/version", request.version)}))
    return problem;
  if (request.collections.size() > limits::store_collections_max)
    return invalid("/collections has " + std::to_string(request.collections.size()) + "; at most " +
                   std::to_string(limits::store_collections_max) + " are allowed");
  for (std::size_t i = 0; i < request.collections.size(); ++i)
    if (auto problem = check_name("/collections/" + std::to_string(i), request.collections[i]))
      return problem;
  return std::nullopt;
}

std::optional<error> check_request(const list_failed_migrations& request) {
  return first_of(
      {check_name("a store's name", request.store), check_limit(request.limit), check_cursor(request.cursor)});
}

std::optional<error> check_upsert(const update_document& request, std::size_t bytes_max) {
  auto head = check_document(request.set, bytes_max);
  return head ? std::nullopt : std::optional(at_place("/set", std::move(head.failure())));
}

} // namespace colloquy::actors
