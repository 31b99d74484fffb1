#include "db/statement.hpp"

#include <libpq-fe.h>

#include <cstdlib>

namespace colloquy::db {

int rows::count() const noexcept {
  return result_ ? PQntuples(result_.get()) : 0;
}

int rows::columns() const noexcept {
  return result_ ? PQnfields(result_.get()) : 0;
}

std::string_view rows::column_name(int column) const noexcept {
  const char* name = result_ ? PQfname(result_.get(), column) : nullptr;
  return name ? name : "";
}

std::string_view rows::command() const noexcept {
  return result_ ? PQcmdStatus(const_cast<PGresult*>(result_.get())) : "";
}

bool rows::is_null(int row, int column) const noexcept {
  return PQgetisnull(result_.get(), row, column) == 1;
}

std::string_view rows::get(int row, int column) const noexcept {
  return {PQgetvalue(result_.get(), row, column), static_cast<std::size_t>(PQgetlength(result_.get(), row, column))};
}

long rows::affected() const noexcept {
  if (!result_)
    return 0;
  // PQcmdTuples takes a pointer to non-const and changes nothing.
  return std::strtol(PQcmdTuples(const_cast<PGresult*>(result_.get())), nullptr, 10);
}

} // namespace colloquy::db
