// Where a page of documents has ended, as the opaque text of a cursor. Inside db/ only.
//
// It carries how many matched, and of which state of the collection that is true, so that they are counted again only
// if the collection was written to since. Who makes up a cursor of their own deceives nobody but themselves.
#pragma once

#include "messages/document_requests.hpp"
#include "messages/error.hpp"

#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <utility>

namespace colloquy::db {

/// A sort key (see sort_key_of) and an id.
using document_place = std::pair<std::string, std::string>;

/// Of what was counted without a look at the state of the collection: is true of none.
inline constexpr std::int64_t unknown_stamp = 0;

/// How many documents matched while the collection was in the state of that stamp.
struct document_count {
  std::int64_t total = 0;
  std::int64_t stamp = 0;
};

/// Tells the order by its first two characters; the rest is hexadecimal. The count is of the filter that was asked for.
std::string to_cursor(const find_documents& asked, const document_place& place, const document_count& counted);

struct page_begin {
  std::optional<document_place> after{};   ///< none: from the beginning
  std::optional<document_count> counted{}; ///< of the same filter
};
/// invalid_request if it is not one that a page in this order has ended with. One of another filter is a place only.
result<page_begin> read_cursor(const find_documents& wanted);

} // namespace colloquy::db
