// SQL text as it may be logged: what is done, without the values that it is done with.
#pragma once

#include <cstddef>
#include <cstdint>
#include <string>
#include <string_view>

namespace colloquy::db {

struct sql_fingerprint {
  std::string text;       ///< one printable line of at most fingerprint_bytes_max bytes; "..." where it was cut
  std::uint64_t hash = 0; ///< of the whole, before cutting: the same in every process and version
};

inline constexpr std::size_t fingerprint_bytes_max = 200;

/// Statements that differ in values, comments, blanks, the case of their words, and in how many elements their IN
/// lists, ARRAYs and VALUES have, get the same fingerprint. Literals of every form and parameters become ?; quoted
/// identifiers stay as they are. What is not closed is taken for a literal up to the end. Any bytes are taken. Strings
/// are read as with standard_conforming_strings = on, which is how our connections have it.
sql_fingerprint fingerprint(std::string_view sql);

} // namespace colloquy::db
