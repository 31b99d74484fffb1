// Tools about documents.
#include "gateway/json_writer.hpp"
#include "gateway/mcp_tools.hpp"
#include "gateway/shapes.hpp"
#include "messages/clock.hpp"
#include "messages/limits.hpp"

namespace colloquy::gateway::mcp {
namespace {

constexpr field_rule collection_rule = {.name = "collection",
                                        .kind = field_kind::text,
                                        .least = 1,
                                        .most = limits::name_chars_max,
                                        .about = "Its name; made when it is first used."};
constexpr field_rule document_rule = {
    .name = "document",
    .kind = field_kind::json_object,
    .about = "Any JSON object with a string id of 1 to 255 characters. Fields given are set, others stay."};

task<answer> pass_on(request& of, operation_id id, const argument_list& arguments) {
  auto filled = fill(id, arguments, of.arguments());
  if (!filled.mistakes.empty())
    co_return mistakes_answer(filled.mistakes);
  const auto reply = co_await run_inner(of, std::move(filled.call));
  co_return answer_of(reply, true);
}

argument_list put_arguments() {
  return {{collection_rule.name, &collection_rule, place::none, true},
          {document_rule.name, &document_rule, place::none, true}};
}

/// A document as it is made: what it must have and the caller left open comes first.
std::string whole_document(const members& said) {
  std::string out;
  json_writer to(out);
  to.open_object();
  if (!said.has("version"))
    to.key("version").null();
  if (!said.has("creation_utc"))
    to.member("creation_utc", system_time());
  for (const auto& [name, json] : said.all()) {
    std::string member;
    append_quoted(member, name);
    to.raw(member + ":" + std::string(json));
  }
  to.close_object();
  return out;
}

/// Sets what is given in the document that is there, else makes it; whoever races, one of both happens.
task<answer> put_document(request& of, const argument_list&) {
  const auto said = of.arguments();
  const auto collection = said.text("collection");
  const auto document = said.raw("document");
  const members fields(document);
  const auto id = fields.raw("id");
  std::vector<std::string> mistakes;
  if (!collection || collection->empty())
    mistakes.emplace_back("collection must be a string of 1 to 255 characters");
  if (!document.starts_with('{') || !id.starts_with('"'))
    mistakes.emplace_back("document must be an object with a string id");
  if (said.all().size() > 2)
    mistakes.emplace_back("there are only the arguments collection and document");
  if (!mistakes.empty())
    co_return mistakes_answer(mistakes);
  for (bool is_again = false;; is_again = true) {
    inner_call change;
    change.id = operation_id::update_one_document;
    change.path = {*collection};
    change.body = R"({"where":{"id":{"$eq":)" + std::string(id) + "}},\"set\":" + std::string(document) + "}";
    auto changed = co_await run_inner(of, std::move(change));
    if (changed.status >= 300 || members(changed.body).integer("matched") == 1)
      co_return answer_of(changed);
    inner_call insertion;
    insertion.id = operation_id::insert_documents;
    insertion.path = {*collection};
    insertion.body = whole_document(fields);
    const auto whole = insertion.body;
    auto inserted = co_await run_inner(of, std::move(insertion));
    if (inserted.status < 300)
      co_return answer_of(R"({"matched":0,"modified":0,"document":)" + whole + "}");
    if (inserted.status != 409 || is_again)
      co_return answer_of(inserted);
  }
}

} // namespace

std::vector<tool> document_tools() {
  std::vector<tool> all;
  all.push_back(make_tool({.name = "put_document",
                           .title = "Store a document",
                           .description = "Sets the given fields of the document with this id in a collection, or "
                                          "makes it. matched tells whether it was there.",
                           .arguments = put_arguments(),
                           .result = &shapes::document_updated,
                           .is_destructive = true,
                           .is_idempotent = true,
                           .needs = access::write},
                          put_document));
  all.push_back(make_tool(
      {.name = "find_documents",
       .title = "Find documents",
       .description = "Documents of a collection that match a filter: {field: {op: value}} with $eq $ne $gt $gte $lt "
                      "$lte $in $nin, $and and $or over filters; {} or none for all.",
       .arguments = arguments_of(operation_id::query_documents, {"collection"}),
       .result = &shapes::document_page,
       .is_read_only = true},
      [](request& of, const argument_list& with) { return pass_on(of, operation_id::query_documents, with); }));
  all.push_back(make_tool(
      {.name = "delete_document",
       .title = "Delete a document",
       .description = "The first of a collection that matches the filter, by creation time and id.",
       .arguments = arguments_of(operation_id::delete_one_document, {"collection"}),
       .result = &shapes::document_deleted,
       .is_destructive = true,
       .needs = access::write},
      [](request& of, const argument_list& with) { return pass_on(of, operation_id::delete_one_document, with); }));
  return all;
}

} // namespace colloquy::gateway::mcp
