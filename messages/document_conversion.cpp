#include "messages/document_conversion.hpp"

#include "messages/content.hpp"
#include "messages/document.hpp"
#include "messages/document_fields.hpp"
#include "messages/json_scan.hpp"
#include "messages/limits.hpp"
#include "messages/store_version.hpp"
#include "messages/text_checks.hpp"

#include <algorithm>
#include <exception>
#include <limits>
#include <set>
#include <unordered_map>

namespace colloquy {
namespace {

constexpr std::size_t reason_bytes_max = 1000;
constexpr std::size_t any_bytes = std::numeric_limits<std::size_t>::max();

error invalid(std::string why) {
  return {error_code::invalid_request, std::move(why)};
}

error failed(std::string why) {
  if (!is_storable_text(why))
    why = "the converter failed, with a reason that is no valid UTF-8";
  why.resize(std::min(why.size(), reason_bytes_max));
  while (!is_storable_text(why)) // cut in the middle of a character
    why.pop_back();
  return invalid(std::move(why));
}

std::string shown(const std::optional<std::string>& version) {
  return version ? "version " + quoted(*version) : "no version";
}

// --- the members of a document --------------------------------------------------------------------------------------

/// In their order, found by name. One that is taken away leaves its place empty.
class members {
public:
  /// Of a document that has passed check_document.
  explicit members(std::string_view document) {
    const auto parts = split_object(document);
    for (const auto& each : parts ? *parts : std::vector<raw_member>())
      put(each.key, std::string(each.value));
  }

  bool has(const std::string& name) const { return places_.contains(name); }
  void put(const std::string& name, std::string json) {
    const auto [at, is_new] = places_.emplace(name, items_.size());
    if (is_new)
      items_.push_back({name, std::move(json)});
    else
      items_[at->second].json = std::move(json);
  }
  /// Its JSON; "" if there is none of that name.
  std::string take(const std::string& name) {
    const auto at = places_.find(name);
    if (at == places_.end())
      return "";
    auto json = std::exchange(items_[at->second].json, "");
    places_.erase(at);
    return json;
  }

  std::string text() const {
    std::string out = "{";
    for (const auto& each : items_) {
      if (each.json.empty())
        continue;
      if (out.size() > 1)
        out += ", ";
      append_json_string(out, each.name);
      out += ": " + each.json;
    }
    return out + "}";
  }

private:
  struct item {
    std::string name;
    std::string json;
  };
  std::vector<item> items_;
  std::unordered_map<std::string, std::size_t> places_;
};

// --- one step --------------------------------------------------------------------------------------------------------

/// All at once, so that two fields may change their names with each other. None is lost under another one.
std::optional<error> rename_fields(const document_converter& step, members& to) {
  std::vector<std::pair<std::string_view, std::string>> renamed;
  for (const auto& [from, name] : step.rename)
    if (to.has(from))
      renamed.emplace_back(name, to.take(from));
  for (auto& [name, json] : renamed) {
    if (to.has(std::string(name)))
      return failed("a field cannot be renamed to " + quoted(name) + ", which the document has already");
    to.put(std::string(name), std::move(json));
  }
  return std::nullopt;
}

std::optional<error> apply_fields(const document_converter& step, members& to) {
  if (auto problem = rename_fields(step, to))
    return problem;
  for (const auto& name : step.remove)
    to.take(name);
  for (const auto& [name, json] : step.set)
    to.put(name, json);
  for (const auto& [name, json] : step.set_default)
    if (!to.has(name))
      to.put(name, json);
  return std::nullopt;
}

/// What a host's own function makes of it. Nothing that it throws gets out.
converted_document call(const document_converter& step, const std::string& document) {
  try {
    return (*step.convert)(document);
  } catch (const std::exception& thrown) {
    return failed(std::string("the converter threw: ") + thrown.what());
  } catch (...) {
    return failed("the converter threw what is no std::exception");
  }
}

/// None: done.
std::optional<error> apply(const document_converter& step, members& to, std::size_t bytes_max) {
  if (auto problem = apply_fields(step, to))
    return problem;
  if (step.convert && *step.convert) {
    const auto made = call(step, to.text());
    if (!made)
      return failed(made.failure().message);
    if (const auto checked = check_document(*made, bytes_max); !checked)
      return failed("the converter made what is no document: " + checked.failure().message);
    to = members(*made);
  }
  std::string version;
  append_json_string(version, step.to);
  to.put("version", std::move(version));
  return std::nullopt;
}

// --- what is wrong with a converter ----------------------------------------------------------------------------------

std::optional<error> check_field(const std::string& name) {
  if (!is_storable_text(name))
    return invalid("a field's name must be valid UTF-8 without NUL");
  if (name == "id")
    return invalid("a converter cannot change a document's id");
  return std::nullopt;
}

std::optional<error> check_values(const std::vector<std::pair<std::string, std::string>>& fields) {
  for (const auto& [name, json] : fields) {
    if (auto problem = check_field(name))
      return problem;
    if (auto checked = check_json(json, limits::document_depth_max - 1); !checked)
      return checked.failure();
  }
  return std::nullopt;
}

std::optional<error> check_fields(const document_converter& converter) {
  std::set<std::string_view> sources, targets;
  for (const auto& [from, to] : converter.rename)
    if (!sources.insert(from).second || !targets.insert(to).second)
      return invalid("rename has " + quoted(sources.size() > targets.size() ? to : from) + " twice");
  for (const auto& [from, to] : converter.rename)
    for (const auto* name : {&from, &to})
      if (auto problem = check_field(*name))
        return problem;
  for (const auto& name : converter.remove)
    if (auto problem = check_field(name))
      return problem;
  if (auto problem = check_values(converter.set))
    return problem;
  return check_values(converter.set_default);
}

std::optional<error> check(const document_converter& converter, const std::vector<std::string>& collections) {
  if (!is_collection_name(converter.to) ||
      (converter.from && !converter.from->empty() && !is_collection_name(*converter.from)))
    return invalid("a version must be valid UTF-8 without NUL, 1 to " + std::to_string(limits::name_chars_max) +
                   " characters");
  if (converter.collection &&
      std::find(collections.begin(), collections.end(), *converter.collection) == collections.end())
    return invalid("the store has no collection " + quoted(*converter.collection));
  if (converter.rename.size() + converter.remove.size() + converter.set.size() + converter.set_default.size() >
      limits::converter_fields_max)
    return invalid("more fields than the " + std::to_string(limits::converter_fields_max) + " allowed");
  return check_fields(converter);
}

error at_converter(std::size_t index, error why) {
  why.message = "/converters/" + std::to_string(index) + ": " + why.message;
  return why;
}

} // namespace

result<conversion_plan> conversion_plan::make(std::vector<document_converter> converters,
                                              const std::vector<std::string>& collections) {
  if (converters.size() > limits::converters_max)
    return invalid("/converters has " + std::to_string(converters.size()) + "; at most " +
                   std::to_string(limits::converters_max) + " are allowed");
  conversion_plan plan;
  plan.converters_ = std::make_shared<const std::vector<document_converter>>(std::move(converters));
  std::set<std::string> named{""};
  for (std::size_t i = 0; i < plan.converters_->size(); ++i) {
    const auto& each = (*plan.converters_)[i];
    if (auto problem = check(each, collections))
      return at_converter(i, *std::move(problem));
    const auto collection = each.collection.value_or("");
    named.insert(collection);
    auto version = each.from ? std::optional(normal_version(*each.from)) : std::nullopt;
    if (!plan.by_version_.emplace(key(collection, std::move(version)), &each).second)
      return at_converter(i, invalid("there is another converter for documents of " + shown(each.from)));
  }
  for (const auto& collection : named)
    if (auto circle = plan.find_circle(collection))
      return *std::move(circle);
  return plan;
}

const document_converter* conversion_plan::find(const std::string& collection,
                                                const std::optional<std::string>& version) const {
  auto at = by_version_.find({collection, version});
  if (at == by_version_.end())
    at = by_version_.find({"", version});
  return at == by_version_.end() ? nullptr : at->second;
}

/// Follows each chain once: who comes to a version that was seen on the same walk goes round.
std::optional<error> conversion_plan::find_circle(const std::string& collection) const {
  std::map<std::string, std::size_t> seen; // on which walk
  std::size_t walk = 0;
  for (const auto& each : *converters_) {
    ++walk;
    for (const auto* step = &each; step != nullptr;) {
      const auto version = normal_version(step->to);
      const auto [at, is_new] = seen.emplace(version, walk);
      if (!is_new && at->second == walk)
        return invalid("/converters go round in a circle at " + shown(step->to));
      if (!is_new)
        break;
      step = find(collection, version);
    }
  }
  return std::nullopt;
}

converted_document conversion_plan::convert(const std::string& collection, const std::optional<std::string>& version,
                                            std::string_view document, const std::string& target,
                                            std::size_t bytes_max) const {
  const auto before = check_document(document, any_bytes); // it is stored, whatever was allowed when it came
  if (!before)
    return failed(before.failure().message);
  bytes_max = std::max(bytes_max, before->bytes);
  members parts(document);
  auto at = version ? std::optional(normal_version(*version)) : std::nullopt;
  const auto wanted = normal_version(target);
  while (at != wanted) {
    const auto* step = find(collection, at);
    if (!step)
      return failed("no converter takes a document of " + shown(at) + " on to " + shown(target));
    if (auto problem = apply(*step, parts, bytes_max))
      return *std::move(problem);
    at = normal_version(step->to);
  }
  auto text = parts.text();
  const auto after = check_document(text, bytes_max);
  if (!after)
    return failed("the converters made what is no document: " + after.failure().message);
  if (after->id != before->id)
    return failed("the converters changed the document's id to " + quoted(after->id));
  return text;
}

} // namespace colloquy
