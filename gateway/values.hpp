// What was read from a request: the values of its fields, checked.
#pragma once

#include "messages/clock.hpp"
#include "messages/document_requests.hpp"
#include "messages/error.hpp"
#include "messages/event.hpp"
#include "messages/ids.hpp"

#include <cstdint>
#include <map>
#include <memory>
#include <optional>
#include <string>
#include <string_view>
#include <utility>
#include <variant>
#include <vector>

namespace colloquy::gateway {

class values;

/// monostate: null. A string_view is JSON as it came, part of the request's body.
using text_pairs = std::vector<std::pair<std::string, std::string>>;
using offset_pairs = std::map<std::string, std::optional<std::int64_t>>;
using document_sort = decltype(find_document::order);
using document_start = decltype(find_documents::cursor);
using field_value =
    std::variant<std::monostate, bool, std::int64_t, std::string, timestamp, uuid_bytes, std::string_view,
                 std::vector<std::string>, std::shared_ptr<const values>, std::vector<event_input>,
                 std::vector<std::shared_ptr<const values>>, std::vector<std::string_view>, text_pairs, offset_pairs,
                 document_filter, document_sort, document_start>;

/// By name. What asks for a value of another kind than the field's rule says gets none.
class values {
public:
  struct member {
    std::string_view name; ///< of the rule, which is static
    field_value value;
  };

  void add(std::string_view name, field_value value) { members_.push_back({name, std::move(value)}); }

  /// Null counts as given.
  bool has(std::string_view name) const noexcept { return find(name) != nullptr; }
  bool is_null(std::string_view name) const noexcept {
    const auto* found = find(name);
    return found != nullptr && std::holds_alternative<std::monostate>(*found);
  }

  template <class T>
  const T* get(std::string_view name) const noexcept {
    const auto* found = find(name);
    return found == nullptr ? nullptr : std::get_if<T>(found);
  }
  template <class T>
  std::optional<T> maybe(std::string_view name) const {
    const auto* found = get<T>(name);
    return found == nullptr ? std::nullopt : std::optional<T>(*found);
  }
  std::optional<std::string> text(std::string_view name) const { return maybe<std::string>(name); }
  std::optional<std::int64_t> integer(std::string_view name) const { return maybe<std::int64_t>(name); }
  std::string text_or(std::string_view name, std::string otherwise) const {
    return text(name).value_or(std::move(otherwise));
  }
  std::int64_t integer_or(std::string_view name, std::int64_t otherwise) const {
    return integer(name).value_or(otherwise);
  }
  bool truth(std::string_view name) const { return maybe<bool>(name).value_or(false); }
  std::string_view raw_or(std::string_view name, std::string_view otherwise) const {
    return maybe<std::string_view>(name).value_or(otherwise);
  }
  /// Of a message_list. Empty if it was not given.
  std::vector<event_input> messages(std::string_view name) const {
    return maybe<std::vector<event_input>>(name).value_or(std::vector<event_input>());
  }
  const values* shape(std::string_view name) const noexcept {
    const auto* found = get<std::shared_ptr<const values>>(name);
    return found == nullptr ? nullptr : found->get();
  }

private:
  const field_value* find(std::string_view name) const noexcept {
    for (const auto& each : members_)
      if (each.name == name)
        return &each.value;
    return nullptr;
  }

  std::vector<member> members_;
};

/// Something wrong with a request. `where` is a JSON pointer into the body, or the name of a parameter or header.
struct mistake {
  enum class place : std::uint8_t { body, query, path, header };
  place in = place::body;
  std::string where;
  std::string detail;
};

} // namespace colloquy::gateway
