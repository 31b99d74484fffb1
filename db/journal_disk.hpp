// The journal's files as the operating system sees them: folders, modes, the lock. For journal_file alone.
#pragma once

#include "db/embedded_files.hpp"
#include "messages/error.hpp"

#include <filesystem>

namespace colloquy::db::journal {

/// Those that are missing, mode 0700.
result<void> make_folders(const std::filesystem::path& folder);

/// Makes an empty file of mode 0600 if there is none, and takes others' rights away if there is. SQLite makes its log
/// beside it as closed as it finds this one.
result<void> make_file(const std::filesystem::path& path);

/// On `<path>.lock`; held until the descriptor is closed, whichever way the process ends. Errors: conflict, naming the
/// file and who has it.
result<embedded::unique_fd> lock(const std::filesystem::path& path);

} // namespace colloquy::db::journal
