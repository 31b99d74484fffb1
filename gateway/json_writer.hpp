// Writing JSON for replies: appended to one string, nothing built in between.
#pragma once

#include "messages/clock.hpp"

#include <concepts>
#include <cstdint>
#include <optional>
#include <string>
#include <string_view>

namespace colloquy::gateway {

/// Appends `text` as a JSON string, quotes and all. `text` is valid UTF-8.
void append_quoted(std::string& to, std::string_view text);

/// Commas come by themselves; that brackets match and values have keys is the caller's part.
class json_writer {
public:
  explicit json_writer(std::string& to) noexcept
    : to_(to) {}

  json_writer& open_object() { return open('{'); }
  json_writer& close_object() { return close('}'); }
  json_writer& open_array() { return open('['); }
  json_writer& close_array() { return close(']'); }

  /// A name of ours, which needs no escaping.
  json_writer& key(std::string_view name) {
    begin_value();
    to_ += '"';
    to_ += name;
    to_ += "\":";
    needs_comma_ = false;
    return *this;
  }

  json_writer& value(std::string_view text) {
    begin_value();
    append_quoted(to_, text);
    return *this;
  }
  json_writer& value(const std::string& text) { return value(std::string_view(text)); }
  json_writer& value(const char* text) { return value(std::string_view(text)); }
  json_writer& value(std::same_as<bool> auto truth) { return raw(truth ? "true" : "false"); }
  template <std::integral T>
  requires(!std::same_as<T, bool>) json_writer& value(T number) { return raw(std::to_string(number)); }
  json_writer& value(double number);
  json_writer& value(timestamp at) {
    begin_value();
    to_ += '"';
    to_ += to_rfc3339(at);
    to_ += '"';
    return *this;
  }
  template <class T>
  json_writer& value(const std::optional<T>& maybe) {
    return maybe ? value(*maybe) : null();
  }
  json_writer& null() { return raw("null"); }
  /// JSON that is there already.
  json_writer& raw(std::string_view json) {
    begin_value();
    to_ += json;
    return *this;
  }

  /// A name that a caller has given.
  template <class T>
  json_writer& any_member(std::string_view name, const T& of) {
    value(name);
    to_ += ':';
    needs_comma_ = false;
    return value(of);
  }

  template <class T>
  json_writer& member(std::string_view name, const T& of) {
    return key(name).value(of);
  }
  /// null if there is no text.
  json_writer& member_or_null(std::string_view name, std::string_view text) {
    return text.empty() ? key(name).null() : key(name).value(text);
  }
  json_writer& raw_member(std::string_view name, std::string_view json) { return key(name).raw(json); }
  /// The members of an object that is there already, as they stand; it may have none.
  json_writer& members_of(std::string_view object);

private:
  void begin_value() {
    if (needs_comma_)
      to_ += ',';
    needs_comma_ = true;
  }
  json_writer& open(char bracket) {
    begin_value();
    to_ += bracket;
    needs_comma_ = false;
    return *this;
  }
  json_writer& close(char bracket) {
    to_ += bracket;
    needs_comma_ = true;
    return *this;
  }

  std::string& to_;
  bool needs_comma_ = false;
};

} // namespace colloquy::gateway
