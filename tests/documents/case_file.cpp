#include "tests/documents/case_file.hpp"

#include "tests/support/places.hpp"

#include <algorithm>
#include <charconv>
#include <filesystem>
#include <fstream>
#include <map>
#include <stdexcept>

namespace colloquy::test {
namespace {

json repeated(const std::string& kind, std::size_t count) {
  std::string text;
  json value = json::array();
  if (kind == "pad" || kind == "smile") {
    for (std::size_t i = 0; i < count; ++i)
      text += kind == "pad" ? "x" : "\U0001f600";
    return text;
  }
  if (kind == "list") {
    for (std::size_t i = 0; i < count; ++i)
      value.push_back(i);
    return value;
  }
  if (kind == "tests") {
    value = json::object();
    for (std::size_t i = 0; i < count; ++i)
      value["f" + std::to_string(i)] = {{"$eq", 0}};
    return value;
  }
  value = kind == "nest" ? json::object() : json(1);
  for (std::size_t i = 0; i < count; ++i) {
    auto around = json::array();
    around.push_back(std::move(value));
    value = kind == "nest" ? json{{"$and", std::move(around)}} : std::move(around);
  }
  return value;
}

json expand_text(const std::string& text) {
  static const std::vector<std::string> kinds{"pad", "smile", "deep", "nest", "list", "tests"};
  const auto colon = text.find(':');
  if (!text.starts_with('@') || colon == std::string::npos)
    return text;
  const auto kind = text.substr(1, colon - 1);
  std::size_t count = 0;
  const auto* end = text.data() + text.size();
  const auto read = std::from_chars(text.data() + colon + 1, end, count);
  const bool is_one = std::find(kinds.begin(), kinds.end(), kind) != kinds.end() && read.ptr == end;
  return is_one ? repeated(kind, count) : json(text);
}

json numbered(const json& value, const std::string& number) {
  if (value.is_string()) {
    auto text = value.get<std::string>();
    for (auto at = text.find("{n}"); at != std::string::npos; at = text.find("{n}", at))
      text.replace(at, 3, number);
    return text;
  }
  if (!value.is_object())
    return value;
  json out = json::object();
  for (const auto& [key, each] : value.items())
    out[key] = numbered(each, number);
  return out;
}

std::string five_digits(std::size_t number) {
  auto text = std::to_string(number);
  return std::string(5 - std::min<std::size_t>(5, text.size()), '0') + text;
}

/// With a version and a time each, in their order, where they have none of their own.
std::vector<std::string> filled(const json& documents) {
  std::vector<std::string> texts;
  for (const auto& each : documents) {
    const auto second = five_digits(texts.size()).substr(3);
    json document{{"version", "1"}, {"creation_utc", "2026-01-01T00:00:" + second + "Z"}};
    document.update(expand(each));
    texts.push_back(document.dump());
  }
  return texts;
}

json short_step(const json& from) {
  json step{{"do", "query"}, {"body", {{"where", from["where"]}, {"limit", 1000}}}};
  for (const auto* name : {"ids", "error", "tells"})
    if (from.contains(name))
      step[name] = from[name];
  return step;
}

contract_case to_case(const std::string& file, const json& group, const json& from) {
  contract_case out{file, from["name"], "c"};
  out.is_of_http = from.value("only", "") == "http";
  if (from.contains("collection"))
    out.collection = expand(from["collection"]).get<std::string>();
  out.setup = filled(from.contains("documents") ? from["documents"] : group.value("documents", json::array()));
  if (!from.contains("documents"))
    for (const auto& text : group.value("texts", json::array()))
      out.setup.push_back(text);
  if (!from.contains("steps"))
    out.steps.push_back(short_step(from));
  else
    for (const auto& step : from["steps"])
      out.steps.push_back(step);
  return out;
}

/// Of items: by id, or as collections are listed.
std::vector<std::string> ids_of(const json& reply) {
  std::vector<std::string> ids;
  if (reply.contains("ids"))
    return reply["ids"];
  for (const auto& each : reply.value("items", json::array()))
    ids.push_back(each.contains("id") ? each["id"].get<std::string>() : each.value("name", ""));
  return ids;
}

std::string shortened(const json& value) {
  auto text = value.dump();
  return text.size() < 300 ? text : text.substr(0, 300) + "...";
}

class comparison {
public:
  comparison(const json& step, const contract_answer& answer)
    : step_(step)
    , reply_(answer.reply)
    , text_(answer.text) {}

  std::vector<std::string> run() {
    for (const auto* name : {"matched", "modified", "deleted", "version", "previous_version", "migrated", "failed"})
      if (step_.contains(name))
        expect(name, reply_[name], step_[name]);
    compare_lists();
    compare_document();
    if (step_.contains("raw") && text_.find(step_["raw"].get<std::string>()) == std::string::npos)
      found_.push_back("not in the reply: " + step_["raw"].get<std::string>());
    return std::move(found_);
  }

private:
  void expect(const std::string& name, const json& got, const json& wanted) {
    if (got != wanted)
      found_.push_back(name + ": " + shortened(got) + ", expected " + shortened(wanted));
  }

  void compare_lists() {
    auto ids = ids_of(reply_);
    if (step_.contains("count"))
      expect("count", reply_.contains("items") ? reply_["items"].size() : ids.size(), step_["count"]);
    if (step_.contains("first"))
      expect("first", ids.empty() ? "" : ids.front(), step_["first"]);
    if (step_.contains("last"))
      expect("last", ids.empty() ? "" : ids.back(), step_["last"]);
    if (step_.value("any_order", false))
      std::sort(ids.begin(), ids.end());
    for (const auto* name : {"ids", "names"})
      if (step_.contains(name)) {
        auto wanted = expand(step_[name]);
        if (step_.value("any_order", false))
          std::sort(wanted.begin(), wanted.end());
        expect(name, ids, wanted);
      }
    if (step_["do"] == "query")
      expect("total_count", reply_["total_count"], step_.value("total", reply_["items"].size()));
    if (reply_.contains("next_cursor"))
      expect("a next page", !reply_["next_cursor"].is_null(), step_.value("more", false));
    if (step_["do"] == "failed-migrations")
      compare_failed();
  }

  void compare_failed() {
    json documents = json::array();
    for (const auto& each : reply_["items"])
      documents.push_back(each["document"]);
    if (step_.contains("documents"))
      expect("documents", documents, expand(step_["documents"]));
    const auto reasons = step_.value("reasons", json::array());
    for (std::size_t i = 0; i < reasons.size(); ++i) {
      const auto reason = i < documents.size() ? reply_["items"][i]["reason"].get<std::string>() : "";
      if (reason.find(reasons[i].get<std::string>()) == std::string::npos)
        found_.push_back("reason: " + reason + ", expected " + reasons[i].get<std::string>() + " in it");
    }
  }

  void compare_document() {
    const auto document = reply_.value("document", json());
    if (step_.contains("document"))
      expect("document", document, expand(step_["document"]));
    if (step_.contains("document_id"))
      expect("document's id", document.is_object() ? document["id"] : json(), expand(step_["document_id"]));
    const auto has = expand(step_.value("document_has", json::object()));
    for (const auto& [name, value] : has.items())
      expect("document's " + name, document.is_object() && document.contains(name) ? document[name] : json("nothing"),
             value);
    for (const auto& name : step_.value("lacks", json::array()))
      expect("whether it has " + name.get<std::string>(), document.contains(name.get<std::string>()), false);
  }

  const json& step_;
  const json& reply_;
  const std::string& text_;
  std::vector<std::string> found_;
};

} // namespace

json expand(const json& value) {
  if (value.is_string())
    return expand_text(value.get<std::string>());
  if (value.is_array()) {
    json out = json::array();
    for (const auto& each : value)
      out.push_back(expand(each));
    return out;
  }
  if (!value.is_object())
    return value;
  json out = json::object();
  for (const auto& [key, each] : value.items())
    out[expand_text(key).get<std::string>()] = expand(each);
  return out;
}

std::vector<contract_case> load_contract_cases() {
  std::map<std::string, std::filesystem::path> files;
  for (const auto& each : std::filesystem::directory_iterator(std::string(source_dir()) + "/tests/documents/cases"))
    if (each.path().extension() == ".json")
      files.emplace(each.path().filename().string(), each.path());
  std::vector<contract_case> all;
  for (const auto& [name, path] : files) {
    const auto group = json::parse(std::ifstream(path));
    for (const auto& each : group["cases"])
      all.push_back(to_case(name, group, each));
  }
  return all;
}

std::string body_of(const json& step, const std::string& cursor) {
  if (step.contains("text"))
    return step["text"];
  if (step.contains("make")) {
    const auto like = expand(step["make"]["like"]);
    std::string text;
    for (std::size_t i = 0; i < step["make"]["count"]; ++i)
      text += (i == 0 ? "" : ",") + numbered(like, five_digits(i)).dump();
    return "{\"documents\":[" + text + "]}";
  }
  auto body = expand(step.value("body", json::object()));
  if (step.value("cursor", "") == "next")
    body["cursor"] = cursor;
  return body.dump();
}

std::vector<std::string> complaints(const json& step, const contract_answer& answer) {
  const auto wanted = step.value("error", json());
  if (!wanted.is_string()) {
    if (answer.code != "ok")
      return {answer.code + ": " + answer.message};
    return comparison(step, answer).run();
  }
  std::vector<std::string> found;
  if (answer.code != wanted)
    found.push_back(answer.code + " " + answer.message + ", expected " + wanted.get<std::string>());
  // Places are told by the filter itself; HTTP puts where the filter stands before them.
  auto tells = step.value("tells", "");
  if (tells.starts_with("/where"))
    tells.erase(0, std::string_view("/where").size());
  if (answer.is_of_filter && answer.message.find(tells) == std::string::npos)
    found.push_back("message: " + answer.message + ", expected " + tells + " in it");
  return found;
}

} // namespace colloquy::test
