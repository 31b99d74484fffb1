#include "messages/document_fields.hpp"

#include "messages/content.hpp"
#include "messages/json_scan.hpp"
#include "messages/limits.hpp"

namespace colloquy {
namespace {

/// Hears a string alone.
class text_listener final : public json_listener {
public:
  bool on_key(int, std::string_view) override { return false; }
  bool on_scalar(int, const json_scalar& value) override {
    text = value.string;
    return value.kind == json_kind::string;
  }
  bool on_open(int, json_kind) override { return false; }
  bool on_close(int) override { return false; }

  std::string text;
};

/// Hears the object until it has come to the field.
class field_listener final : public json_listener {
public:
  explicit field_listener(std::string_view field)
    : field_(field) {}

  bool on_key(int depth, std::string_view key) override {
    is_it_ = depth == 1 && key == field_;
    return true;
  }
  bool on_scalar(int, const json_scalar& value) override {
    if (is_it_ && value.kind == json_kind::string)
      text = std::string(value.string);
    return !is_it_;
  }
  bool on_open(int, json_kind) override { return !is_it_; }
  bool on_close(int) override { return true; }

  std::optional<std::string> text;

private:
  std::string_view field_;
  bool is_it_ = false;
};

} // namespace

document_fields::document_fields(std::string_view document) {
  const auto members = split_object(document);
  if (!members)
    return;
  for (const auto& each : *members)
    fields_.insert_or_assign(each.key, std::string(each.value));
}

std::optional<std::string> document_fields::text(const std::string& name) const {
  text_listener listener;
  const auto at = fields_.find(name);
  if (at == fields_.end() || !scan_json(at->second, 0, &listener))
    return std::nullopt;
  return std::move(listener.text);
}

std::string document_fields::json(const std::string& name) const {
  const auto at = fields_.find(name);
  return at == fields_.end() ? std::string() : at->second;
}

document_writer& document_writer::text(std::string_view name, std::string_view value) {
  std::string quoted;
  append_json_string(quoted, value);
  return json(name, quoted);
}

document_writer& document_writer::text_or_null(std::string_view name, const std::optional<std::string>& value) {
  return value ? text(name, *value) : json(name, "null");
}

document_writer& document_writer::json(std::string_view name, std::string_view value) {
  if (text_.size() > 1)
    text_ += ", ";
  append_json_string(text_, name);
  text_ += ": ";
  text_ += value;
  return *this;
}

std::optional<std::string> find_text(std::string_view document, std::string_view field) {
  field_listener listener(field);
  static_cast<void>(scan_json(document, limits::document_depth_max, &listener)); // it ends early, which is a failure
  return std::move(listener.text);
}

void append_json_string(std::string& out, std::string_view text) {
  static constexpr char digits[] = "0123456789abcdef";
  out += '"';
  for (const char c : text) {
    const auto byte = static_cast<unsigned char>(c);
    if (c == '"' || c == '\\')
      out += {'\\', c};
    else if (byte < 0x20)
      out += std::string("\\u00") + digits[byte >> 4] + digits[byte & 0x0f];
    else
      out += c;
  }
  out += '"';
}

} // namespace colloquy
