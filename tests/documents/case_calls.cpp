#include "tests/documents/case_calls.hpp"

#include "messages/content.hpp"

#include <caf/scoped_actor.hpp>

#include <chrono>
#include <set>

namespace colloquy::test {
namespace {

constexpr std::chrono::minutes call_limit{2};

contract_answer failed(const error& why) {
  return {std::string(to_string(why.code)), why.message};
}

/// A member of the body as the bytes it is; none if it is not there.
std::optional<std::string> raw(const std::string& body, std::string_view name) {
  const auto members = split_object(body);
  if (members)
    for (const auto& each : *members)
      if (each.key == name)
        return std::string(each.value);
  return std::nullopt;
}

/// The members of an object, but for those named; one that is beyond what a double holds is the text that it is.
json parsed(const std::string& object, const std::set<std::string>& but = {}) {
  json out = json::object();
  const auto members = split_object(object);
  if (members)
    for (const auto& [key, value] : *members)
      if (!but.contains(key)) {
        auto read = json::parse(value, nullptr, false);
        out[key] = read.is_discarded() ? json(std::string(value)) : std::move(read);
      }
  return out;
}

json to_json(const std::optional<std::string>& document) {
  return document ? parsed(*document) : json();
}

json to_cursor(const std::string& cursor) {
  return cursor.empty() ? json() : json(cursor);
}

class call {
public:
  call(const contract_caller& caller, const contract_case& of, const json& step, const std::string& body)
    : caller_(caller)
    , of_(of)
    , step_(step)
    , text_(body)
    , body_(parsed(body, {"where", "set", "documents"})) {}

  contract_answer run() {
    const auto name = step_["do"].get<std::string>();
    if (name == "insert")
      return insert();
    if (name == "collections")
      return collections();
    if (name == "delete-collection")
      return remove_collection();
    if (name == "open-store")
      return open();
    if (name == "failed-migrations")
      return failed_migrations();
    auto where = parse_filter(raw(text_, "where").value_or("{}"));
    if (!where) {
      auto answer = failed(where.failure());
      answer.is_of_filter = true;
      return answer;
    }
    where_ = std::move(*where);
    if (name == "query")
      return query();
    if (name == "find-one")
      return find_one();
    return name == "update-one" ? update_one() : delete_one();
  }

private:
  template <class Request>
  result<typename Request::reply> ask(Request request) {
    using answer = result<typename Request::reply>;
    caf::scoped_actor self{caller_.system};
    answer outcome{error{error_code::internal, "no answer"}};
    self->request(caller_.whom, call_limit, std::move(request))
        .receive([&](answer& got) { outcome = std::move(got); },
                 [&](const caf::error& why) {
                   outcome = error{error_code::internal, "caf: " + to_string(why)};
                 });
    return outcome;
  }

  std::string collection() const {
    return step_.contains("collection") ? expand(step_["collection"]).get<std::string>() : of_.collection;
  }
  std::string store() const { return step_.value("store", of_.collection); }

  template <class Request>
  Request request() const {
    Request wanted;
    wanted.tenant = caller_.tenant;
    wanted.collection = collection();
    wanted.as_user = caller_.as_user;
    if constexpr (requires { wanted.where; })
      wanted.where = where_;
    return wanted;
  }

  contract_answer insert() {
    auto wanted = request<insert_documents>();
    const auto list = raw(text_, "documents");
    if (list && !raw(text_, "id")) {
      const auto elements = split_array(*list);
      if (elements)
        wanted.documents.assign(elements->begin(), elements->end());
    } else {
      wanted.documents.push_back(text_);
    }
    const auto done = ask(std::move(wanted));
    if (!done)
      return failed(done.failure());
    return {.reply = {{"ids", done->ids}}};
  }

  document_order order() const {
    document_order out;
    const auto sort = body_.value("sort", json("asc"));
    out.is_descending = sort == "desc" || (sort.is_object() && sort.value("order", "") == "desc");
    if (sort.is_object() && sort.value("by", "") == "id")
      out.by = document_order::key::id;
    return out;
  }

  contract_answer query() {
    auto wanted = request<find_documents>();
    wanted.order = order();
    wanted.limit = body_.value("limit", limits::page_default);
    if (const auto cursor = body_.value("cursor", json()); cursor.is_string())
      wanted.cursor = cursor.get<std::string>();
    else if (cursor.is_object())
      wanted.cursor = document_position{
          cursor["creation_utc"].is_null() ? std::nullopt : std::optional(cursor["creation_utc"].get<std::string>()),
          cursor["id"].get<std::string>()};
    const auto page = ask(std::move(wanted));
    if (!page)
      return failed(page.failure());
    contract_answer answer;
    answer.reply = {
        {"items", json::array()}, {"next_cursor", to_cursor(page->next_cursor)}, {"total_count", page->total_count}};
    for (const auto& each : page->documents) {
      answer.reply["items"].push_back(parsed(each));
      answer.text += each;
    }
    return answer;
  }

  contract_answer find_one() {
    auto wanted = request<find_document>();
    wanted.order = order();
    if (const auto sort = body_.value("sort", json()); sort.is_array()) {
      std::vector<field_order> fields;
      for (const auto& each : sort)
        fields.push_back({each["field"].get<std::string>(), each.value("order", "asc") == "desc"});
      wanted.order = std::move(fields);
    }
    const auto found = ask(std::move(wanted));
    if (!found)
      return failed(found.failure());
    return {.reply = {{"document", to_json(found->document)}}, .text = found->document.value_or("")};
  }

  contract_answer update_one() {
    auto wanted = request<update_document>();
    wanted.set = raw(text_, "set").value_or("");
    wanted.is_upsert = body_.value("upsert", false);
    const auto done = ask(std::move(wanted));
    if (!done)
      return failed(done.failure());
    return {.reply = {{"matched", done->matched}, {"modified", done->modified}, {"document", to_json(done->document)}},
            .text = done->document.value_or("")};
  }

  contract_answer delete_one() {
    const auto done = ask(request<delete_document>());
    if (!done)
      return failed(done.failure());
    return {.reply = {{"deleted", done->document ? 1 : 0}, {"document", to_json(done->document)}}};
  }

  template <class Request>
  Request page_request() const {
    Request wanted;
    wanted.tenant = caller_.tenant;
    const auto query = step_.value("query", json::object());
    wanted.limit = query.value("limit", limits::page_default);
    if (step_.value("cursor", "") == "next")
      wanted.cursor = body_["cursor"].get<std::string>();
    return wanted;
  }

  contract_answer collections() {
    const auto page = ask(page_request<list_collections>());
    if (!page)
      return failed(page.failure());
    contract_answer answer;
    answer.reply = {{"items", json::array()}, {"next_cursor", to_cursor(page->next_cursor)}};
    for (const auto& each : page->collections)
      answer.reply["items"].push_back({{"name", each.name}});
    return answer;
  }

  contract_answer remove_collection() {
    const auto done = ask(delete_collection{caller_.tenant, collection()});
    return done ? contract_answer{} : failed(done.failure());
  }

  static std::vector<std::pair<std::string, std::string>> pairs(const json& members, bool are_texts) {
    std::vector<std::pair<std::string, std::string>> out;
    for (const auto& [key, value] : members.items())
      out.emplace_back(key, are_texts ? value.get<std::string>() : value.dump());
    return out;
  }

  static document_converter converter(const json& from) {
    document_converter out;
    if (!from["from"].is_null())
      out.from = from["from"].get<std::string>();
    out.to = from["to"].get<std::string>();
    if (from.contains("collection"))
      out.collection = from["collection"].get<std::string>();
    out.rename = pairs(from.value("rename", json::object()), true);
    out.remove = from.value("remove", std::vector<std::string>());
    out.set = pairs(from.value("set", json::object()), false);
    out.set_default = pairs(from.value("set_default", json::object()), false);
    return out;
  }

  contract_answer open() {
    open_store wanted;
    wanted.tenant = caller_.tenant;
    wanted.store = store();
    wanted.version = body_["version"].get<std::string>();
    wanted.allow_migration = body_["allow_migration"].get<bool>();
    wanted.retry_failed = body_.value("retry_failed", false);
    wanted.collections = body_.value("collections", std::vector<std::string>());
    for (const auto& each : body_.value("converters", json::array()))
      wanted.converters.push_back(converter(each));
    const auto opened = ask(std::move(wanted));
    if (!opened)
      return failed(opened.failure());
    return {.reply = {{"version", opened->version},
                      {"previous_version", opened->previous_version ? json(*opened->previous_version) : json()},
                      {"migrated", opened->migrated},
                      {"failed", opened->failed}}};
  }

  contract_answer failed_migrations() {
    auto wanted = page_request<list_failed_migrations>();
    wanted.store = store();
    const auto page = ask(std::move(wanted));
    if (!page)
      return failed(page.failure());
    contract_answer answer;
    answer.reply = {{"items", json::array()}, {"next_cursor", to_cursor(page->next_cursor)}};
    for (const auto& each : page->items)
      answer.reply["items"].push_back(
          {{"collection", each.collection}, {"document", parsed(each.document)}, {"reason", each.reason}});
    return answer;
  }

  const contract_caller& caller_;
  const contract_case& of_;
  const json& step_;
  const std::string& text_;
  json body_;
  document_filter where_{};
};

} // namespace

contract_answer call_actor(const contract_caller& caller, const contract_case& of, const json& step,
                           const std::string& body) {
  return call(caller, of, step, body).run();
}

} // namespace colloquy::test
