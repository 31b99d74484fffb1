// One connection whose every step has a deadline, for probes. Blocking; never used by an actor.
#pragma once

#include "db/doctor_facts.hpp"
#include "db/failure.hpp"
#include "db/libpq_handles.hpp"
#include "db/statement.hpp"

#include <chrono>
#include <cstdint>
#include <optional>
#include <string>
#include <vector>

namespace colloquy::db::doctor {

using deadline = std::chrono::steady_clock::time_point;

inline deadline in(milliseconds time) {
  return std::chrono::steady_clock::now() + time;
}

/// Rows in text; a null is empty.
struct text_answer {
  std::vector<std::vector<std::optional<std::string>>> rows;
  std::optional<db_failure> failure;

  /// "" where there is none.
  std::string at(std::size_t row, std::size_t column) const;
  std::int64_t number_at(std::size_t row, std::size_t column) const;
};

class session {
public:
  /// Logs in. Host names must have their addresses beside them, for libpq would look them up itself and block. Look at
  /// failure() afterwards; no password is in its words.
  session(const std::string& conninfo, deadline until);

  /// Why the connection is of no use, any more or ever. A statement that was merely refused leaves it usable.
  const std::optional<db_failure>& failure() const noexcept { return failure_; }

  /// One statement with parameters in text.
  text_answer query(const std::string& sql, const std::vector<std::string>& parameters, deadline until);

  /// The calls one after the other, as they are sent by the service, in the transaction that is open (each is one of
  /// its own otherwise). Stops at the first that fails.
  unit_outcome run(const unit& work, deadline until);

  std::int32_t reported_pid() const noexcept { return PQbackendPID(held_.get()); }
  int server_version() const noexcept { return PQserverVersion(held_.get()); }
  std::string reported(const char* parameter) const;
  std::string host() const;
  std::string port() const;
  std::string user() const;
  std::string database() const;
  bool uses_tls() const noexcept { return PQsslInUse(held_.get()) == 1; }

private:
  void log_in(deadline until);
  void fail(std::string why, bool while_connecting);
  std::string own_words() const;
  result_ptr await_result(deadline until);
  /// The result of what was sent, or why there is none.
  result_ptr finish(int sent, deadline until, std::optional<db_failure>& why);

  connection_ptr held_;
  std::string password_;
  std::optional<db_failure> failure_;
};

} // namespace colloquy::db::doctor
