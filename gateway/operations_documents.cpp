// Calls about documents and stores.
#include "gateway/operation_fields.hpp"

namespace colloquy::gateway {
namespace {

using enum error_code;

constexpr field_rule of_collection[] = {
    in_path("name", text, "The collection: any string, percent-encoded where it must be.", "\"tickets\"")};
constexpr field_rule of_store[] = {in_path("store", text, "The store.", "\"tickets\"")};
constexpr field_rule document_page_query[] = {
    limit_parameter,
    // Longer than others: it may hold a name of 255 characters of any script.
    {.name = "cursor", .kind = text, .least = 1, .most = 8000, .about = "next_cursor of the page before."},
};

constexpr error_code inserting[] = {conflict, payload_too_large, idempotency_mismatch, forbidden};
constexpr error_code finding[] = {payload_too_large};
constexpr error_code deleting_one[] = {conflict, payload_too_large};
constexpr error_code deleting[] = {not_found};
constexpr error_code opening[] = {store_outdated, migration_required, conflict, payload_too_large};
constexpr error_code seeing[] = {not_found};

const operation all[] = {
    {.id = operation_id::insert_documents,
     .name = "insertDocuments",
     .method = "POST",
     .path = "/v1/collections/{name}/documents",
     .tag = "Documents",
     .summary = "Insert documents",
     .about = "One, or several of which all or none are inserted: an object that has an array `documents` and no `id` "
              "is several. An id that is there already is a conflict. A collection is made by its first document. "
              "Those of customers and context variables are not for a token or key of one user to write to.",
     .needs = access::write,
     .path_fields = of_collection,
     .takes = body_kind::documents,
     .body = &shapes::insert_documents,
     .success = 201,
     .reply = &shapes::documents_inserted,
     .errors = inserting,
     .traits = {.is_repeatable = true, .has_documents = true}},
    {.id = operation_id::query_documents,
     .name = "queryDocuments",
     .method = "POST",
     .path = "/v1/collections/{name}/query",
     .tag = "Documents",
     .summary = "Find documents",
     .about =
         "A filter is {\"field\": {\"$op\": value}}, of $eq $ne $gt $gte $lt $lte and, with an array of values, $in "
         "$nin; $and and $or take arrays of filters. Types count. The filter holds on every page.",
     .needs = access::read,
     .path_fields = of_collection,
     .takes = body_kind::maybe,
     .body = &shapes::query_documents,
     .reply = &shapes::document_page,
     .errors = finding,
     .traits = {.has_documents = true}},
    {.id = operation_id::find_one_document,
     .name = "findOneDocument",
     .method = "POST",
     .path = "/v1/collections/{name}/find-one",
     .tag = "Documents",
     .summary = "Find the first document that matches",
     .about = "In an order of any fields: where one is missing first, then null, booleans, numbers, strings, others.",
     .needs = access::read,
     .path_fields = of_collection,
     .takes = body_kind::shape,
     .body = &shapes::find_one_document,
     .reply = &shapes::found_document,
     .errors = finding,
     .traits = {.has_documents = true}},
    {.id = operation_id::update_one_document,
     .name = "updateOneDocument",
     .method = "POST",
     .path = "/v1/collections/{name}/update-one",
     .tag = "Documents",
     .summary = "Update the first document that matches",
     .about = "Its fields are replaced by those of `set`; the others stay, also those that another call changes at the "
              "same time. With upsert an Idempotency-Key is taken. A token or key of one user cannot write to the "
              "collections of customers and context variables.",
     .needs = access::write,
     .path_fields = of_collection,
     .takes = body_kind::shape,
     .body = &shapes::update_one_document,
     .reply = &shapes::document_updated,
     .errors = inserting,
     .traits = {.is_repeatable = true, .has_documents = true}},
    {.id = operation_id::delete_one_document,
     .name = "deleteOneDocument",
     .method = "POST",
     .path = "/v1/collections/{name}/delete-one",
     .tag = "Documents",
     .summary = "Delete the first document that matches",
     .about =
         "And give it back. A token or key of one user cannot delete from the collections of customers and context "
         "variables.",
     .needs = access::write,
     .path_fields = of_collection,
     .takes = body_kind::shape,
     .body = &shapes::delete_one_document,
     .reply = &shapes::document_deleted,
     .errors = deleting_one,
     .traits = {.has_documents = true}},
    {.id = operation_id::list_collections,
     .name = "listCollections",
     .method = "GET",
     .path = "/v1/collections",
     .tag = "Documents",
     .summary = "List collections",
     .about = "By name, code point by code point. Not for a token or key of one user.",
     .needs = access::read,
     .query_fields = document_page_query,
     .reply = &shapes::collection_page},
    {.id = operation_id::delete_collection,
     .name = "deleteCollection",
     .method = "DELETE",
     .path = "/v1/collections/{name}",
     .tag = "Documents",
     .summary = "Delete a collection",
     .about = "With all of its documents. Not for a token or key of one user.",
     .needs = access::write,
     .path_fields = of_collection,
     .success = 204,
     .errors = deleting},
    {.id = operation_id::open_store,
     .name = "openStore",
     .method = "POST",
     .path = "/v1/stores/{store}/open",
     .tag = "Documents",
     .summary = "Open a store at a version",
     .about =
         "Opening it first makes it, and takes its documents for current. If it is of an older version and "
         "allow_migration says so, its documents are converted, each once, whoever else opens it; one that cannot be "
         "is moved to the failed migrations. A store over adopted tables has the version that they record. If that "
         "takes longer than a call may, opening again goes on with it. "
         "Not for a token or key of one user.",
     .needs = access::write,
     .path_fields = of_store,
     .takes = body_kind::shape,
     .body = &shapes::open_store,
     .reply = &shapes::opened_store,
     .errors = opening,
     .traits = {.has_documents = true}},
    {.id = operation_id::list_failed_migrations,
     .name = "listFailedMigrations",
     .method = "GET",
     .path = "/v1/stores/{store}/failed-migrations",
     .tag = "Documents",
     .summary = "List documents that could not be converted",
     .about = "Whole, as they were, and why; of a store that was opened once. Not for a token or key of one user.",
     .needs = access::read,
     .path_fields = of_store,
     .query_fields = document_page_query,
     .reply = &shapes::failed_migration_page,
     .errors = seeing},
};

} // namespace

std::span<const operation> document_operations() {
  return all;
}

} // namespace colloquy::gateway
