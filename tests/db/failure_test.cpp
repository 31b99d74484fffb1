// SQLSTATE to what is done next: each code that a server can be expected to send, by its name in the manual.
#include "db/failure.hpp"
#include "tests/support/catch.hpp"

#include <set>
#include <string_view>

using namespace colloquy::db;

TEST_CASE("each SQLSTATE leads to what helps against it") {
  struct expectation {
    const char* sqlstate;
    const char* name;
    failure_kind kind;
  };
  static constexpr expectation table[] = {
      {"CQ001", "our fence", failure_kind::fence},
      {"08000", "connection_exception", failure_kind::connection_lost},
      {"08006", "connection_failure", failure_kind::connection_lost},
      {"08P01", "protocol_violation", failure_kind::connection_lost},
      {"40003", "statement_completion_unknown", failure_kind::connection_lost},
      {"57P01", "admin_shutdown", failure_kind::connection_lost},
      {"57P02", "crash_shutdown", failure_kind::connection_lost},
      {"57P05", "idle_session_timeout", failure_kind::connection_lost},
      {"25P03", "idle_in_transaction_session_timeout", failure_kind::connection_lost},
      {"25P04", "transaction_timeout", failure_kind::connection_lost},
      {"40001", "serialization_failure", failure_kind::retry},
      {"40P01", "deadlock_detected", failure_kind::retry},
      {"55P03", "lock_not_available", failure_kind::retry},
      {"26000", "invalid_sql_statement_name", failure_kind::retry},
      {"53100", "disk_full", failure_kind::wait},
      {"53200", "out_of_memory", failure_kind::wait},
      {"53300", "too_many_connections", failure_kind::wait},
      {"57014", "query_canceled", failure_kind::wait},
      {"57P03", "cannot_connect_now", failure_kind::wait},
      {"58030", "io_error", failure_kind::wait},
      {"25006", "read_only_sql_transaction", failure_kind::wait},
      {"22003", "numeric_value_out_of_range", failure_kind::data},
      {"22021", "character_not_in_repertoire", failure_kind::data},
      {"22P05", "untranslatable_character", failure_kind::data},
      {"23502", "not_null_violation", failure_kind::data},
      {"23505", "unique_violation", failure_kind::data},
      {"23514", "check_violation", failure_kind::data},
      {"44000", "with_check_option_violation", failure_kind::data},
      {"54000", "program_limit_exceeded", failure_kind::data},
      {"P0001", "raise_exception", failure_kind::data},
      {"25001", "active_sql_transaction", failure_kind::fault},
      {"28P01", "invalid_password", failure_kind::fault},
      {"42501", "insufficient_privilege", failure_kind::fault},
      {"42P01", "undefined_table", failure_kind::fault},
      {"42P05", "duplicate_prepared_statement", failure_kind::fault},
      {"42883", "undefined_function", failure_kind::fault},
      {"3F000", "invalid_schema_name", failure_kind::fault},
      {"XX000", "internal_error", failure_kind::fault},
      {"XX001", "data_corrupted", failure_kind::fault},
  };
  for (const auto& [sqlstate, name, kind] : table) {
    INFO(sqlstate << " " << name << " is " << to_string(classify_sqlstate(sqlstate)));
    CHECK(classify_sqlstate(sqlstate) == kind);
  }
}

TEST_CASE("a SQLSTATE that is none is a fault") {
  for (std::string_view sqlstate : {"", "4", "??", "99999"})
    CHECK(classify_sqlstate(sqlstate) == failure_kind::fault);
}

TEST_CASE("every kind of failure has a name of its own") {
  std::set<std::string_view> names;
  for (auto kind : {failure_kind::data, failure_kind::fence, failure_kind::retry, failure_kind::wait,
                    failure_kind::connection_lost, failure_kind::fault})
    names.insert(to_string(kind));
  CHECK(names.size() == 6);
}
