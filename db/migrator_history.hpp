// What schema_migrations says, and how that compares with what the program carries.
#pragma once

#include "db/migrations.hpp"
#include "db/migrator_session.hpp"

#include <span>
#include <string>
#include <string_view>
#include <vector>

namespace colloquy::db {

struct recorded_migration {
  int number = 0;
  std::string name;
  std::string checksum;
};

/// As "0001_name".
std::string title(int number, std::string_view name);

/// What is recorded, in order of number; nothing if the table is not there. Fails with `conflict` if a table of that
/// name belongs to another program, or if the user may not read it.
result<std::vector<recorded_migration>> read_history(migrator_session& session, std::string_view schema);

struct history_comparison {
  std::vector<const migration*> pending; ///< known, above everything that is recorded
  std::vector<std::string> newer;        ///< titles that are recorded and unknown
  std::vector<std::string> changed;      ///< sentences: another checksum, or a hole below what is recorded
};

history_comparison compare_history(const std::vector<recorded_migration>& recorded, std::span<const migration> all);

/// The refusal to go on with such a history; nothing if it may go on.
result<void> check_history(const history_comparison& compared, const std::vector<recorded_migration>& recorded,
                           std::span<const migration> all, std::string_view schema);

/// `all` must count from 1 without a gap; anything else is a fault of the build.
result<void> check_migrations(std::span<const migration> all);

/// SQL that makes the table if it is not there; search_path must name the schema alone.
std::string history_table_script();

/// SQL that records one migration.
std::string record_script(const migration& one);

/// SQL that raises unless exactly the migrations before this one are recorded.
std::string guard_script(const migration& one);

} // namespace colloquy::db
