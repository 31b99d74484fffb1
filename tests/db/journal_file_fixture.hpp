// What the tests of the journal's file share.
#pragma once

#include "db/journal_file.hpp"

#include <fcntl.h>

#include "tests/db/embedded_server_fixture.hpp"
#include "tests/db/journal_fixture.hpp"
#include "tests/support/catch.hpp"
#include "tests/support/temp_dir.hpp"

#include <sqlite3.h>

#include <algorithm>
#include <map>
#include <sched.h>
#include <sys/mount.h>
#include <sys/stat.h>

namespace colloquy::db::journal_test {

using namespace colloquy::test;
using embedded_test::forked;
using embedded_test::in_another_process;
namespace fs = std::filesystem;

inline journal_file must_open(const fs::path& path) {
  auto file = journal_file::open(path);
  INFO((file ? "" : file.failure().message));
  REQUIRE(file);
  return std::move(*file);
}

inline error open_failure(const fs::path& path) {
  auto file = journal_file::open(path);
  REQUIRE_FALSE(file);
  return file.failure();
}

inline std::string try_open(const fs::path& path) {
  auto file = journal_file::open(path);
  return file ? "opened" : file.failure().message;
}

inline journal_entry entry_of(const session_key& session, std::uint64_t number, std::string payload) {
  static const auto process = process_id::make();
  return {{process, 7}, session, number, static_cast<event_offset>(number) - 1, std::move(payload)};
}

inline std::vector<journal_place> must_commit(journal_file& file, const std::vector<journal_entry>& added,
                                              const std::vector<journal_place>& removed = {}) {
  auto done = file.commit(added, removed);
  INFO((done ? "" : done.failure().message));
  REQUIRE(done);
  return *done;
}

inline std::vector<journal_row> read_all(const journal_file& file, std::size_t page_bytes = 1 << 20) {
  std::vector<journal_row> all;
  std::optional<journal_place> after;
  do {
    auto page = file.read_left(after, page_bytes);
    REQUIRE(page);
    for (auto& each : page->rows)
      all.push_back(std::move(each));
    after = page->next;
  } while (after);
  return all;
}

/// Runs SQL on a journal that nobody has open: to harm it, or to look at it.
inline void run_sql(const fs::path& path, const std::string& sql) {
  sqlite3* handle = nullptr;
  REQUIRE(::sqlite3_open(path.c_str(), &handle) == SQLITE_OK);
  CHECK(::sqlite3_exec(handle, sql.c_str(), nullptr, nullptr, nullptr) == SQLITE_OK);
  ::sqlite3_close(handle);
}

inline std::string payload_of(std::uint64_t number) {
  return std::string(300 + number % 7000, 'p') + std::to_string(number);
}

inline unsigned mode_of(const fs::path& path) {
  struct stat found {};
  REQUIRE(::stat(path.c_str(), &found) == 0);
  return found.st_mode & 07777;
}

constexpr const char* cannot_mount = "cannot mount";

/// In a copy of this process only: a file system in memory, which goes with the process.
inline bool mount_small(const fs::path& where, const char* options) {
  return ::unshare(CLONE_NEWNS) == 0 && ::mount("none", "/", nullptr, MS_REC | MS_PRIVATE, nullptr) == 0 &&
         ::mount("tmpfs", where.c_str(), "tmpfs", 0, options) == 0;
}

} // namespace colloquy::db::journal_test
