// What the database says to the evidence: by SQL, as superuser, because row level security must not hide a fault.
// Everything throws test::sql_error.
#pragma once

#include "tests/checker/evidence.hpp"
#include "tests/support/test_cluster.hpp"

#include <cstdint>
#include <string>
#include <vector>

namespace colloquy::checker {

class truth {
public:
  explicit truth(const std::string& conninfo)
    : connection_(conninfo) {}

  /// What is not as it was promised: events once, at their offsets, with their digests; sessions, forks and turns.
  /// One sentence each with a sample.
  std::vector<std::string> broken_promises(const evidence& promised);

  /// What must hold whatever was answered: logs without gaps, nothing twice, one running turn, exact counters.
  std::vector<std::string> broken_rules();

  /// As the next run's load is told: sessions, and turns that run, each as a line of lines.hpp.
  std::vector<line> sessions(std::size_t newest);
  std::vector<line> running_turns(std::size_t limit);

  std::int64_t count(const std::string& sql);
  std::string text(const std::string& sql) { return connection_.value(sql); }

private:
  void say(const evidence& promised);
  void copy(const std::string& table, const std::string& rows);
  void look(const char* rule, const std::string& sql, std::vector<std::string>& found);

  test::test_connection connection_;
};

} // namespace colloquy::checker
