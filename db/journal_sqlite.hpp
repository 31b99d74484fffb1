// SQLite as the journal's file uses it: handles that clean up, statements, errors as sentences. For journal_file alone.
#pragma once

#include "messages/error.hpp"

#include <cstddef>
#include <cstdint>
#include <filesystem>
#include <memory>
#include <optional>
#include <string>
#include <string_view>

struct sqlite3;
struct sqlite3_stmt;

namespace colloquy::db::journal {

/// A value that is stored as bytes, not as text.
struct blob {
  std::string_view bytes;
};

class database;

/// A prepared statement. Runs with the values bound to it, which must live until it is reset.
class statement {
public:
  statement() = default;

  /// The first parameter is number 1. A failure shows when the statement is run.
  void bind(int parameter, std::int64_t value);
  void bind(int parameter, std::string_view text);
  void bind(int parameter, blob value);
  void bind_null(int parameter);

  /// The next row: false if there is none; then, and after a failure, the statement is reset.
  result<bool> next();
  /// For statements without rows.
  result<void> run();
  void reset() noexcept;

  /// Of the present row, counted from 0; whatever the column holds. Views live until the next row.
  std::int64_t integer(int column) const;
  std::string_view bytes(int column) const;
  bool is_null(int column) const;
  bool is_integer(int column) const;

private:
  friend class database;
  struct finalize {
    void operator()(sqlite3_stmt* handle) const noexcept;
  };
  const database* owner_ = nullptr;
  std::unique_ptr<sqlite3_stmt, finalize> handle_;
  int bind_failure_ = 0;
};

/// One connection. Errors name the file and say what to do.
class database {
public:
  /// The file must be there.
  static result<std::unique_ptr<database>> open(const std::filesystem::path& path);
  database(const database&) = delete;
  database& operator=(const database&) = delete;
  ~database() = default;

  result<void> execute(const char* sql);
  result<statement> prepare(const char* sql);
  /// The first column of the first row.
  result<std::int64_t> ask(const char* sql);
  result<std::string> ask_text(const char* sql);

  std::int64_t changes() const;

  /// All of what `work` does, or nothing. `work` returns a result<...>.
  template <class Work>
  auto in_transaction(Work work) -> decltype(work()) {
    if (auto begun = execute("BEGIN IMMEDIATE"); !begun)
      return begun.failure();
    auto done = work();
    if (done) {
      if (auto committed = execute("COMMIT"); !committed)
        done = committed.failure();
    }
    if (!done)
      roll_back();
    return done;
  }

  /// What the last call on this connection ran into.
  error failure(int code) const;
  error damaged() const;

private:
  database() = default;
  void roll_back() noexcept;

  struct close {
    void operator()(sqlite3* handle) const noexcept;
  };
  std::filesystem::path path_;
  std::unique_ptr<sqlite3, close> handle_;
};

} // namespace colloquy::db::journal
