// A document: a JSON object in a collection, with a string `id`, with `version` and `creation_utc` (a string or null
// each, and the keys must be there), and any other fields. Here it is checked and its named fields are read; it is
// kept as jsonb, so it comes back with the same values: strings and keys character by character, numbers digit by
// digit (1e2 as 100).
#pragma once

#include "messages/error.hpp"
#include "messages/limits.hpp"

#include <optional>
#include <string>
#include <string_view>

namespace colloquy {

/// What a document is found and ordered by.
struct document_position {
  std::optional<std::string> creation_utc{}; ///< none: before all strings
  std::string id;
  auto operator<=>(const document_position&) const = default;
};

struct document_head {
  std::string id;                            ///< 1 to limits::name_chars_max characters
  std::optional<std::string> version{};      ///< up to limits::name_chars_max characters
  std::optional<std::string> creation_utc{}; ///< the same
  std::size_t bytes = 0;                     ///< of the document, as they are counted
};

/// Rules: those of scan_json with limits::document_depth_max; at most `bytes_max` bytes; an object with the three
/// fields; no number with more than limits::document_number_digits_max digits written out.
/// Bytes are counted as if jsonb wrote it, numbers written out and strings with no escape that they do not need, but
/// without a blank between tokens: so they are as many whoever spelled it, and as many as the database counts
/// (document_bytes() there). As it is spelled it may have twice `bytes_max`.
/// Errors: invalid_request, payload_too_large; the message begins with the JSON pointer of the place, or with no slash
/// if it is about the whole text ("the document must be ..."; "not valid JSON at byte ...").
result<document_head> check_document(std::string_view json, std::size_t bytes_max = limits::document_bytes_max);

/// The same for what an update sets: any fields, of which `id`, `version` and `creation_utc` are as in a document if
/// they are there. At least one field.
result<void> check_document_changes(std::string_view json, std::size_t bytes_max = limits::document_bytes_max);

/// 1 to limits::name_chars_max characters, valid UTF-8 without NUL. Names that differ only by case are two.
bool is_collection_name(std::string_view text) noexcept;

} // namespace colloquy
