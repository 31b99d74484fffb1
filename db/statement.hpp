// A named SQL statement and one call of it.
#pragma once

#include "db/binary_codec.hpp"
#include "db/failure.hpp"

#include <memory>
#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <vector>

struct pg_result; // libpq's PGresult, which this header does not show

namespace colloquy::db {

/// Prepared once a connection, under a name that begins with its own. Static: calls keep a pointer to it.
struct statement {
  const char* name;
  const char* sql;
  std::span<const oid> parameter_types;
};

/// SQL that a leaseholder brought: one statement, values as parameters in text, rows in text. Or one of ours whose text
/// is put together: then all are in binary, as with a static one.
struct caller_statement {
  std::string sql;
  std::vector<oid> parameter_types; ///< 0, or nothing: the server infers it
  bool keep_prepared = true;        ///< false: parsed anew each time, and takes no place in the cache
  bool is_binary = false;           ///< then every type is given
};

/// One of our statements with its parameters in binary, none of them null; or a caller's, in text, with nulls.
struct statement_call {
  const statement* what = nullptr;
  std::vector<std::optional<std::string>> parameters;
  std::shared_ptr<const caller_statement> own = nullptr; ///< instead of `what`
};

/// Statements that commit together or not at all; many units share one connection's pipeline.
struct unit {
  std::vector<statement_call> calls;
};

/// One statement's rows, in the format of its call. Cheap to copy; the rows live until the last copy goes.
class rows {
public:
  rows() = default;
  explicit rows(std::shared_ptr<const pg_result> result)
    : result_(std::move(result)) {}

  int count() const noexcept;
  int columns() const noexcept;
  std::string_view column_name(int column) const noexcept;
  bool is_null(int row, int column) const noexcept;
  /// The column's bytes; valid as long as any copy of these rows lives.
  std::string_view get(int row, int column) const noexcept;
  /// The command's tag, as in "INSERT 0 3".
  std::string_view command() const noexcept;
  /// Rows that an INSERT or UPDATE touched.
  long affected() const noexcept;

private:
  std::shared_ptr<const pg_result> result_;
};

/// What became of a unit: one `rows` a call, or why not (then nothing of it was committed, unless the kind is
/// connection_lost).
struct unit_outcome {
  std::vector<rows> results;
  std::optional<db_failure> failure;
};

} // namespace colloquy::db
