#include "messages/document.hpp"

#include "messages/document_number.hpp"
#include "messages/json_pointer.hpp"
#include "messages/json_scan.hpp"
#include "messages/text_checks.hpp"

#include <algorithm>
#include <array>
#include <utility>

namespace colloquy {
namespace {

enum class head_field : std::uint8_t { id, version, creation_utc, none };
constexpr std::array<std::string_view, 3> head_names{"id", "version", "creation_utc"};

head_field field_of(std::string_view key) {
  return static_cast<head_field>(std::find(head_names.begin(), head_names.end(), key) - head_names.begin());
}

bool is_short(std::string_view text) {
  return text.size() <= limits::name_chars_max * 4 && count_characters(text) <= limits::name_chars_max;
}

/// The bytes of a string in JSON, as jsonb writes it.
std::size_t bytes_in_quotes(std::string_view text) noexcept {
  std::size_t bytes = text.size() + 2;
  for (const char c : text) {
    if (c == '"' || c == '\\' || c == '\b' || c == '\f' || c == '\n' || c == '\r' || c == '\t')
      bytes += 1;
    else if (static_cast<unsigned char>(c) < 0x20)
      bytes += 5;
  }
  return bytes;
}

std::size_t bytes_of_scalar(const json_scalar& value) {
  switch (value.kind) {
  case json_kind::boolean:
    return value.integer == 1 ? 4 : 5;
  case json_kind::integer:
    return std::to_string(value.integer).size();
  case json_kind::number:
    return bytes_written_out(value.number);
  case json_kind::string:
    return bytes_in_quotes(value.string);
  default:
    return 4;
  }
}

/// Hears a document, or what an update sets of one, and keeps the fields that it is found by.
class document_listener final : public json_listener {
public:
  bool on_key(int depth, std::string_view key) override {
    place_.on_key(key);
    head.bytes += bytes_in_quotes(key) + 1;
    if (depth == 1) {
      field_ = field_of(key);
      has_[static_cast<std::size_t>(field_)] = true;
    }
    return true;
  }

  bool on_scalar(int depth, const json_scalar& value) override {
    place_.on_value();
    if (depth == 0)
      return refuse_here("must be a JSON object");
    if (auto problem = check_document_number(value))
      return refuse_here(*problem);
    const auto bytes = bytes_of_scalar(value);
    count_value(depth, bytes);
    has_longer_number = has_longer_number || (value.kind == json_kind::number && bytes > value.number.size());
    return depth > 1 || take(value);
  }

  bool on_open(int depth, json_kind kind) override {
    place_.on_value();
    if (depth == 0 && kind != json_kind::object)
      return refuse_here("must be a JSON object");
    if (depth == 1 && field_ != head_field::none)
      return refuse_field();
    if (depth == limits::document_depth_max)
      return refuse_here("nests deeper than the " + std::to_string(limits::document_depth_max) + " levels allowed");
    count_value(depth, 2);
    has_elements_[static_cast<std::size_t>(depth) + 1] = false;
    place_.on_open(kind);
    return true;
  }

  bool on_close(int) override {
    place_.on_close();
    return true;
  }

  /// The name of a field that a document needs and this one has not.
  std::optional<std::string_view> missing() const {
    for (std::size_t i = 0; i < head_names.size(); ++i)
      if (!has_[i])
        return head_names[i];
    return std::nullopt;
  }
  bool is_empty() const {
    return std::none_of(has_.begin(), has_.end(), [](bool has) { return has; });
  }

  document_head head;
  bool has_longer_number = false; ///< than it was spelled

private:
  /// With the comma before it.
  void count_value(int depth, std::size_t bytes) {
    auto& has_another = has_elements_[static_cast<std::size_t>(depth)];
    head.bytes += bytes + (depth > 0 && has_another ? 1 : 0);
    has_another = true;
  }

  bool take(const json_scalar& value) {
    const bool is_string = value.kind == json_kind::string;
    if (field_ == head_field::none)
      return true;
    if (is_string ? !is_short(value.string) : value.kind != json_kind::null)
      return refuse_field();
    if (field_ == head_field::id) {
      head.id = value.string;
      return (is_string && !value.string.empty()) || refuse_field();
    }
    auto& kept = field_ == head_field::version ? head.version : head.creation_utc;
    if (is_string)
      kept = std::string(value.string);
    return true;
  }

  bool refuse_field() {
    const auto chars = std::to_string(limits::name_chars_max);
    return refuse_here(field_ == head_field::id ? "must be a string of 1 to " + chars + " characters"
                                                : "must be a string of at most " + chars + " characters, or null");
  }
  bool refuse_here(std::string_view why) {
    const auto pointer = place_.pointer();
    return refuse({error_code::invalid_request, (pointer.empty() ? "the document" : pointer) + " " + std::string(why)});
  }

  json_place place_;
  head_field field_ = head_field::none;
  std::array<bool, 4> has_{};
  std::array<bool, limits::document_depth_max + 2> has_elements_{}; // around the place, by depth
};

error too_large(std::size_t bytes, std::size_t bytes_max, std::string_view how) {
  return {error_code::payload_too_large, "the document has " + std::to_string(bytes) + " bytes" + std::string(how) +
                                             "; at most " + std::to_string(bytes_max) + " are allowed"};
}

result<void> scan_document(std::string_view json, std::size_t bytes_max, document_listener& listener) {
  if (json.size() / 2 > bytes_max)
    return too_large(json.size(), bytes_max, "");
  // One level more than allowed: the listener refuses it, and names the place.
  if (auto scanned = scan_json(json, limits::document_depth_max + 1, &listener); !scanned)
    return scanned;
  if (const auto bytes = listener.head.bytes; bytes > bytes_max)
    return too_large(bytes, bytes_max, listener.has_longer_number ? " when its numbers are written out" : "");
  return {};
}

} // namespace

result<document_head> check_document(std::string_view json, std::size_t bytes_max) {
  document_listener listener;
  if (auto scanned = scan_document(json, bytes_max, listener); !scanned)
    return std::move(scanned.failure());
  if (auto name = listener.missing())
    return error{error_code::invalid_request,
                 "/" + std::string(*name) + " is missing; a document has id, version and creation_utc"};
  return std::move(listener.head);
}

result<void> check_document_changes(std::string_view json, std::size_t bytes_max) {
  document_listener listener;
  if (auto scanned = scan_document(json, bytes_max, listener); !scanned)
    return scanned;
  if (listener.is_empty())
    return error{error_code::invalid_request, "the document must set at least one field"};
  return {};
}

bool is_collection_name(std::string_view text) noexcept {
  return !text.empty() && is_storable_text(text) && is_short(text);
}

} // namespace colloquy
