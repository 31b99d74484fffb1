// SQL text taken apart as PostgreSQL's own scanner does it (with standard_conforming_strings = on).
#pragma once

#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

namespace colloquy::db {

struct sql_token {
  enum class kind : std::uint8_t {
    word,      ///< a keyword or a name without quotes; `text` in lower case
    quoted,    ///< a name in quotes; `text` without them
    literal,   ///< a string or number of any form; `text` is what stands in the string as it is written, or empty
    parameter, ///< $1
    symbol     ///< one character: ( ) [ ] , ; . : or one of an operator
  };
  kind is = kind::symbol;
  std::string text;
  bool has_escapes = false; ///< of a string: with a backslash in it that begins one

  bool is_word(std::string_view word) const { return is == kind::word && text == word; }
  bool is_symbol(char symbol) const { return is == kind::symbol && text.size() == 1 && text.front() == symbol; }
  bool is_name() const { return is == kind::word || is == kind::quoted; }
};

struct sql_tokens {
  std::vector<sql_token> tokens;
  bool is_whole = true; ///< false: something is not closed, or written in a way that is not followed here (U&)
};

/// Comments and blanks are left out. Any bytes are taken.
sql_tokens tokenize(std::string_view sql);

} // namespace colloquy::db
