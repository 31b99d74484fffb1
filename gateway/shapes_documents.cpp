// The shapes of documents and stores, sent and answered.
#include "gateway/shapes.hpp"
#include "messages/limits.hpp"

namespace colloquy::gateway::shapes {
namespace {

using enum field_kind;

constexpr std::int64_t name_max = limits::name_chars_max;
constexpr std::int64_t cursor_max = 8000; // it may hold a name of 255 characters, and each of them 4 bytes
constexpr std::int64_t fields_max = limits::converter_fields_max;
constexpr std::string_view directions[] = {"asc", "desc"};
constexpr std::string_view order_keys[] = {"creation_utc", "id"};

constexpr field_rule must(std::string_view name, field_kind kind, std::string_view about) {
  return {.name = name, .kind = kind, .is_required = true, .about = about};
}
constexpr field_rule name_of(std::string_view name, std::string_view about, std::string_view example = {}) {
  return {.name = name, .kind = text, .least = 1, .most = name_max, .about = about, .example = example};
}
constexpr field_rule where_field(std::string_view about, bool is_required = true) {
  return {.name = "where",
          .kind = filter,
          .is_required = is_required,
          .about = about,
          .example = R"({"status": {"$eq": "open"}, "$or": [{"priority": {"$gte": 2}}, {"owner": {"$eq": null}}]})"};
}
constexpr field_rule direction_field = {
    .name = "order", .kind = word, .words = directions, .about = "Unless said, asc.", .example = R"("desc")"};

constexpr field_rule fields_of_document[] = {
    {.name = "id",
     .kind = text,
     .is_required = true,
     .about = "1 to 255 characters, once in its collection.",
     .example = R"("ticket-1")"},
    {.name = "version",
     .kind = text,
     .is_required = true,
     .may_be_null = true,
     .about = "Of its form; a store's documents are brought from one to the next.",
     .example = R"("0.1.0")"},
    {.name = "creation_utc",
     .kind = text,
     .is_required = true,
     .may_be_null = true,
     .about = "What it is ordered by, as text; without it, it comes first.",
     .example = R"("2026-01-31T12:00:00Z")"},
};

constexpr field_rule insert_documents_fields[] = {
    {.name = "documents",
     .kind = document_list,
     .is_required = true,
     .least = 1,
     .most = limits::documents_per_insert_max,
     .about = "All or none of them are inserted."},
};

constexpr field_rule order_fields[] = {
    {.name = "by",
     .kind = word,
     .words = order_keys,
     .about = "Unless said, creation_utc, and among those that are alike id.",
     .example = R"("creation_utc")"},
    direction_field,
};
constexpr field_rule field_order_fields[] = {
    {.name = "field", .kind = text, .is_required = true, .about = "Any field of documents.", .example = R"("name")"},
    direction_field,
};
constexpr field_rule place_fields[] = {
    {.name = "creation_utc", .kind = text, .is_required = true, .may_be_null = true, .most = name_max},
    {.name = "id", .kind = text, .is_required = true, .least = 1, .most = name_max},
};

constexpr field_rule query_fields[] = {
    where_field("Unless said, all documents.", false),
    {.name = "sort",
     .kind = order,
     .about = "Unless said, asc by (creation_utc, id), compared code point by code point."},
    {.name = "limit",
     .kind = integer,
     .least = 1,
     .most = limits::page_events_max,
     .about = "How many at most; unless said, 100. A page of large documents ends after 16 MiB."},
    {.name = "cursor",
     .kind = place,
     .least = 1,
     .most = cursor_max,
     .about = "next_cursor of the page before, or any place: the page begins strictly after it."},
};
constexpr field_rule find_one_fields[] = {
    where_field("What it must be."),
    {.name = "sort", .kind = first_order, .about = "Which of several; unless said, asc by (creation_utc, id)."},
};
constexpr field_rule update_one_fields[] = {
    where_field("The first that matches, by (creation_utc, id), is updated."),
    {.name = "set",
     .kind = document_change,
     .is_required = true,
     .about = "Fields and what they are now; the other fields stay. null is stored.",
     .example = R"({"status": "closed"})"},
    {.name = "upsert",
     .kind = boolean,
     .about = "If nothing matches, `set` is inserted as it is; then it must be a whole document."},
};
constexpr field_rule delete_one_fields[] = {where_field("The first that matches, by (creation_utc, id), is deleted.")};

constexpr field_rule converter_fields[] = {
    {.name = "from",
     .kind = text,
     .is_required = true,
     .may_be_null = true,
     .most = name_max,
     .about = "Documents of this version; null: those without one.",
     .example = R"("0.1.0")"},
    {.name = "to",
     .kind = text,
     .is_required = true,
     .least = 1,
     .most = name_max,
     .about = "Become such of this.",
     .example = R"("0.2.0")"},
    name_of("collection", "Only there; unless said, in all of the store's."),
    {.name = "rename",
     .kind = text_map,
     .most = fields_max,
     .about = "First, all at once: fields that are there, and their new names. A document that has a field of that "
              "name already, not itself renamed, is not converted.",
     .example = R"({"mail": "email"})"},
    {.name = "remove", .kind = text_list, .most = fields_max, .about = "Then: fields that go."},
    {.name = "set", .kind = document_fields, .most = fields_max, .about = "Then: fields and what they are."},
    {.name = "set_default",
     .kind = document_fields,
     .most = fields_max,
     .about = "Last: fields and what they are where they are missing."},
};
constexpr shape_rule converter_shape{"DocumentConverter",
                                     "One step of a chain from version to version. No `id` changes.", converter_fields};
constexpr field_rule open_store_fields[] = {
    {.name = "version",
     .kind = text,
     .is_required = true,
     .least = 1,
     .most = name_max,
     .about = "That the caller knows. Compared part by part between dots: numbers as such.",
     .example = R"("0.2.0")"},
    {.name = "allow_migration",
     .kind = boolean,
     .is_required = true,
     .about = "Whether documents of an older version may be converted now.",
     .example = "true"},
    {.name = "converters",
     .kind = shape_list,
     .most = limits::converters_max,
     .shape = &converter_shape,
     .about = "The steps there are."},
    {.name = "collections",
     .kind = text_list,
     .least = 1,
     .most = fields_max,
     .about = "Of the store; recorded when it is made. Unless said, the one of its own name."},
    {.name = "retry_failed", .kind = boolean, .about = "Documents that failed before are converted once more."},
};

constexpr field_rule cursor_field = {.name = "next_cursor",
                                     .kind = text,
                                     .is_required = true,
                                     .may_be_null = true,
                                     .about = "For the next page; null if this is the last."};
constexpr field_rule items_of(const shape_rule& shape) {
  return {.name = "items", .kind = shape_list, .is_required = true, .shape = &shape};
}
constexpr field_rule maybe_document(std::string_view about) {
  return {.name = "document", .kind = field_kind::document, .is_required = true, .may_be_null = true, .about = about};
}

constexpr field_rule inserted_fields[] = {
    {.name = "ids", .kind = text_list, .is_required = true, .about = "In the order of the request."}};
constexpr field_rule document_page_fields[] = {
    {.name = "items", .kind = document_list, .is_required = true, .about = "As they were inserted."},
    cursor_field,
    must("total_count", integer, "Of all that match, whatever the page."),
};
constexpr field_rule found_fields[] = {maybe_document("null: none matches.")};
constexpr field_rule updated_fields[] = {
    must("matched", integer, "0 or 1; 0 also if it was inserted."),
    must("modified", integer, "0 or 1: whether it is not as it was."),
    maybe_document("As it is now, whether it still matches or not."),
};
constexpr field_rule deleted_fields[] = {
    must("deleted", integer, "0 or 1."),
    maybe_document("As it was; null: none matches."),
};
constexpr field_rule collection_fields[] = {must("name", text, ""), must("created_at", time, "")};
constexpr shape_rule collection_shape{"Collection", "Documents under one name.", collection_fields};
constexpr field_rule collection_page_fields[] = {items_of(collection_shape), cursor_field};
constexpr field_rule opened_fields[] = {
    must("version", text, "That is recorded now."),
    {.name = "previous_version",
     .kind = text,
     .is_required = true,
     .may_be_null = true,
     .about = "That was recorded before; null: the store was made now."},
    must("migrated", integer, "Documents converted by this call."),
    must("failed", integer, "Documents moved to the failed migrations by this call."),
};
constexpr field_rule failed_fields[] = {
    must("collection", text, "Where it was."),
    must("document", field_kind::document, "As it was."),
    must("reason", text, "Why it was not converted."),
    must("failed_at", time, ""),
};
constexpr shape_rule failed_shape{"FailedMigration", "A document that no converter could bring to the store's version.",
                                  failed_fields};
constexpr field_rule failed_page_fields[] = {items_of(failed_shape), cursor_field};

} // namespace

const shape_rule document{"Document", "Any JSON object with these fields.", fields_of_document, true};
const shape_rule insert_documents{"InsertDocuments", "Several documents at once.", insert_documents_fields};
const shape_rule document_order{"DocumentOrder", "What documents are ordered by.", order_fields};
const shape_rule field_order{"FieldOrder", "A field that documents are ordered by.", field_order_fields};
const shape_rule document_place{"DocumentPlace", "A place in the order; no document need be there.", place_fields};
const shape_rule query_documents{"QueryDocuments", "Which documents, and in which order.", query_fields};
const shape_rule find_one_document{"FindOneDocument", "Which document.", find_one_fields};
const shape_rule update_one_document{"UpdateOneDocument", "Which document, and what changes.", update_one_fields};
const shape_rule delete_one_document{"DeleteOneDocument", "Which document.", delete_one_fields};
const shape_rule open_store{"OpenStore", "What the caller knows of the store.", open_store_fields};
const shape_rule documents_inserted{"DocumentsInserted", "What was inserted.", inserted_fields};
const shape_rule document_page{"DocumentPage", "Documents that match.", document_page_fields};
const shape_rule found_document{"FoundDocument", "The first that matches.", found_fields};
const shape_rule document_updated{"DocumentUpdated", "What became of it.", updated_fields};
const shape_rule document_deleted{"DocumentDeleted", "What was deleted.", deleted_fields};
const shape_rule collection_page{"CollectionPage", "Collections by name.", collection_page_fields};
const shape_rule opened_store{"OpenedStore", "The store as it is now.", opened_fields};
const shape_rule failed_migration_page{"FailedMigrationPage", "In the order in which they failed.", failed_page_fields};

} // namespace colloquy::gateway::shapes
