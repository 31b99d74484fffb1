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

/// Prepared once a connection under its name. Static: calls keep a pointer to it.
struct statement {
  const char* name;
  const char* sql;
  std::span<const oid> parameter_types;
};

/// Parameters in binary; none is null.
struct statement_call {
  const statement* what = nullptr;
  std::vector<std::optional<std::string>> parameters;
};

/// Statements that commit together or not at all; many units share one connection's pipeline.
struct unit {
  std::vector<statement_call> calls;
};

/// One statement's rows, in binary. Cheap to copy; the rows live until the last copy goes.
class rows {
public:
  rows() = default;
  explicit rows(std::shared_ptr<const pg_result> result)
    : result_(std::move(result)) {}

  int count() const noexcept;
  int columns() const noexcept;
  bool is_null(int row, int column) const noexcept;
  /// The column's bytes; valid as long as any copy of these rows lives.
  std::string_view get(int row, int column) const noexcept;
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
