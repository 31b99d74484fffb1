// What the fixtures that start a server of their own share: who it runs as, where it writes, how it is started.
#pragma once

#include "db/embedded_files.hpp"
#include "db/embedded_process.hpp"
#include "messages/error.hpp"

#include <filesystem>
#include <optional>
#include <stdexcept>
#include <string>
#include <utility>

namespace colloquy::test {

/// The value, or an exception with the error's sentence.
template <class T>
T must(result<T> outcome) {
  if (!outcome)
    throw std::runtime_error(outcome.failure().message);
  return std::move(*outcome);
}

inline void must(const result<void>& outcome) {
  if (!outcome)
    throw std::runtime_error(outcome.failure().message);
}

/// The user that a server runs as, which refuses root: `postgres` if we are root, else ourselves (nothing).
std::optional<db::embedded::os_user> server_user();

/// A letter-and-digit password that no other run has.
std::string random_password();

/// In quotes, for a value in a connection string.
std::string conninfo_quoted(const std::string& value);

/// Writes a file that only the server's user can read.
void write_private(int folder, const char* name, std::string_view text,
                   const std::optional<db::embedded::os_user>& owner);

/// A file for the words of a server.
class server_log {
public:
  explicit server_log(const std::filesystem::path& file);
  int descriptor() const { return file_.get(); }
  /// At most the last 64 KiB.
  std::string text() const;

private:
  db::embedded::unique_fd file_;
};

} // namespace colloquy::test
