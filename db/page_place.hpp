// Where a page of rows that are read newest first has ended: a time and an id, as the opaque text of a cursor. Inside
// db/ only.
#pragma once

#include "messages/clock.hpp"
#include "messages/error.hpp"
#include "messages/ids.hpp"

#include <string>
#include <string_view>

namespace colloquy::db {

/// What PostgreSQL's timestamps end before, and every row of ours.
inline constexpr timestamp end_of_time{std::chrono::sys_days{std::chrono::year{9999} / 12 / 31}};

/// Rows before this place are still to come.
struct page_place {
  timestamp at = end_of_time;
  uuid_bytes id{};
};

/// 16 hexadecimal digits of the time, and the id's text.
std::string to_cursor(const page_place& place);

/// An empty cursor is the beginning. Any other that to_cursor has not made is invalid_request; `what` names the rows,
/// as in "keys".
result<page_place> read_cursor(std::string_view cursor, std::string_view what);

} // namespace colloquy::db
