#include "db/journal_sqlite.hpp"

#include <sqlite3.h>

#include <utility>

namespace colloquy::db::journal {

// --- statements ------------------------------------------------------------------------------------------------------

void statement::finalize::operator()(sqlite3_stmt* handle) const noexcept {
  ::sqlite3_finalize(handle);
}

void statement::bind(int parameter, std::int64_t value) {
  bind_failure_ |= ::sqlite3_bind_int64(handle_.get(), parameter, value);
}

void statement::bind(int parameter, std::string_view text) {
  bind_failure_ |=
      ::sqlite3_bind_text64(handle_.get(), parameter, text.data(), text.size(), SQLITE_STATIC, SQLITE_UTF8);
}

void statement::bind(int parameter, blob value) {
  // Without an address it would be NULL.
  const char* data = value.bytes.empty() ? "" : value.bytes.data();
  bind_failure_ |= ::sqlite3_bind_blob64(handle_.get(), parameter, data, value.bytes.size(), SQLITE_STATIC);
}

void statement::bind_null(int parameter) {
  bind_failure_ |= ::sqlite3_bind_null(handle_.get(), parameter);
}

result<bool> statement::next() {
  const int code = bind_failure_ != 0 ? std::exchange(bind_failure_, 0) : ::sqlite3_step(handle_.get());
  if (code == SQLITE_ROW)
    return true;
  if (code == SQLITE_DONE) {
    reset();
    return false;
  }
  auto failed = owner_->failure(code);
  reset();
  return failed;
}

result<void> statement::run() {
  auto row = next();
  if (!row)
    return row.failure();
  if (*row)
    reset();
  return {};
}

void statement::reset() noexcept {
  ::sqlite3_reset(handle_.get());
}

std::int64_t statement::integer(int column) const {
  return ::sqlite3_column_int64(handle_.get(), column);
}

std::string_view statement::bytes(int column) const {
  const auto* data = static_cast<const char*>(::sqlite3_column_blob(handle_.get(), column));
  return {data, static_cast<std::size_t>(::sqlite3_column_bytes(handle_.get(), column))};
}

bool statement::is_null(int column) const {
  return ::sqlite3_column_type(handle_.get(), column) == SQLITE_NULL;
}

bool statement::is_integer(int column) const {
  return ::sqlite3_column_type(handle_.get(), column) == SQLITE_INTEGER;
}

// --- the connection --------------------------------------------------------------------------------------------------

void database::close::operator()(sqlite3* handle) const noexcept {
  ::sqlite3_close_v2(handle);
}

result<std::unique_ptr<database>> database::open(const std::filesystem::path& path) {
  std::unique_ptr<database> made(new database);
  made->path_ = path;
  sqlite3* handle = nullptr;
  const int code = ::sqlite3_open_v2(path.c_str(), &handle,
                                     SQLITE_OPEN_READWRITE | SQLITE_OPEN_NOMUTEX | SQLITE_OPEN_EXRESCODE, nullptr);
  made->handle_.reset(handle);
  if (code != SQLITE_OK)
    return made->failure(code);
  ::sqlite3_db_config(handle, SQLITE_DBCONFIG_DEFENSIVE, 1, nullptr);
  ::sqlite3_db_config(handle, SQLITE_DBCONFIG_TRUSTED_SCHEMA, 0, nullptr);
  return made;
}

result<void> database::execute(const char* sql) {
  const int code = ::sqlite3_exec(handle_.get(), sql, nullptr, nullptr, nullptr);
  if (code != SQLITE_OK)
    return failure(code);
  return {};
}

result<statement> database::prepare(const char* sql) {
  sqlite3_stmt* handle = nullptr;
  const int code = ::sqlite3_prepare_v3(handle_.get(), sql, -1, SQLITE_PREPARE_PERSISTENT, &handle, nullptr);
  if (code != SQLITE_OK)
    return failure(code);
  statement made;
  made.owner_ = this;
  made.handle_.reset(handle);
  return made;
}

result<std::int64_t> database::ask(const char* sql) {
  auto asked = prepare(sql);
  if (!asked)
    return asked.failure();
  auto row = asked->next();
  if (!row)
    return row.failure();
  return *row ? asked->integer(0) : 0;
}

result<std::string> database::ask_text(const char* sql) {
  auto asked = prepare(sql);
  if (!asked)
    return asked.failure();
  auto row = asked->next();
  if (!row)
    return row.failure();
  return *row ? std::string(asked->bytes(0)) : std::string();
}

std::int64_t database::changes() const {
  return ::sqlite3_changes64(handle_.get());
}

void database::roll_back() noexcept {
  if (::sqlite3_get_autocommit(handle_.get()) == 0)
    ::sqlite3_exec(handle_.get(), "ROLLBACK", nullptr, nullptr, nullptr);
}

error database::damaged() const {
  return failure(SQLITE_CORRUPT);
}

error database::failure(int code) const {
  const auto file = "the journal " + path_.string();
  const auto why = std::string(::sqlite3_errstr(code)) + " (SQLite " + std::to_string(code) + ")";
  switch (code & 0xff) {
  case SQLITE_BUSY:
  case SQLITE_LOCKED:
    return {error_code::conflict, file + " is in use by another process"};
  case SQLITE_FULL:
    return {error_code::overloaded, file + " cannot be written: the disk is full; free some space",
            std::chrono::milliseconds{1000}};
  case SQLITE_NOTADB:
    return {error_code::invalid_request, file + " is no journal: there is another kind of file of this name"};
  case SQLITE_PERM:
  case SQLITE_CANTOPEN:
  case SQLITE_READONLY:
    return {error_code::invalid_request, file + " cannot be opened for writing: " + why};
  case SQLITE_CORRUPT:
    return {error_code::internal, file + " is damaged: " + why +
                                      "; move it and its -wal file aside to start with an empty one, and keep them: "
                                      "sqlite3's .recover may read what they hold"};
  default:
    return {error_code::internal, file + " failed: " + why};
  }
}

} // namespace colloquy::db::journal
