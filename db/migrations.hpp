// The schema's history: numbered SQL files, carried inside the program.
#pragma once

#include <span>
#include <string_view>

namespace colloquy::db {

/// One file of db/migrations/: NNNN_name.sql.
struct migration {
  int number;
  std::string_view name;
  std::string_view checksum; ///< SHA-256 of the file's bytes, lower-case hexadecimal
  std::string_view sql;
};

/// All of them, in rising order of number. Written by the build from the files.
std::span<const migration> embedded_migrations();

} // namespace colloquy::db
