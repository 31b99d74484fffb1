// A session's write as bytes for the local journal, and back. The journal may be read by a later version of the
// program, so the first byte is the format's version; all the rest is fixed by it.
//
// Integers are little-endian and of fixed size, texts and lists have their length before them. A write has exactly one
// encoding.
#pragma once

#include "db/batch.hpp"
#include "messages/error.hpp"

#include <cstdint>
#include <string>
#include <string_view>

namespace colloquy::db {

/// What is written. Also of encode_record(), whose bytes are kept in the database for as long as idempotency keys are.
/// Those before are read, too: 1 knew no labels, mode and consumption offsets of sessions, and no deleted events.
inline constexpr std::uint8_t journal_codec_version = 2;

/// All of it but `keeps`. An empty list of events is written as none.
std::string encode_write(const session_write& write);

/// Trusts nothing: every length, word and flag is checked; texts are what PostgreSQL can hold, offsets rise by one, a
/// row that the write makes or changes is its session's, times and lifetimes lie in ranges that can be calculated with.
/// What it accepts of this version, encode_write() makes the same bytes of. Takes memory by the size of `bytes`,
/// whatever they say. Errors: invalid_request, saying what is wrong and at which byte, without content.
result<session_write> decode_write(std::string_view bytes);

/// A session's record in the same format, and back in the same way.
std::string encode_record(const session_record& record);
result<session_record> decode_record(std::string_view bytes);

} // namespace colloquy::db
