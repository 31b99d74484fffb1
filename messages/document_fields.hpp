// The fields of a document by name, for those whose documents have a shape of their own: read, and put together.
#pragma once

#include <map>
#include <optional>
#include <string>
#include <string_view>

namespace colloquy {

/// Of a document that the database has: valid JSON, an object.
class document_fields {
public:
  explicit document_fields(std::string_view document);

  /// None: there is no such field, or it is no string.
  std::optional<std::string> text(const std::string& name) const;
  /// JSON as it is; "" if there is no such field.
  std::string json(const std::string& name) const;

private:
  std::map<std::string, std::string> fields_;
};

/// A JSON object, field by field. No name twice.
class document_writer {
public:
  document_writer& text(std::string_view name, std::string_view value);
  document_writer& text_or_null(std::string_view name, const std::optional<std::string>& value);
  document_writer& json(std::string_view name, std::string_view value);
  std::string finish() const { return text_ + "}"; }

private:
  std::string text_ = "{";
};

/// The text of a field, as document_fields has it, without a look at what stands behind it: cheap where others are
/// large.
std::optional<std::string> find_text(std::string_view document, std::string_view field);

/// Appends it as JSON has it: in quotes, escaped.
void append_json_string(std::string& out, std::string_view text);

} // namespace colloquy
