// What the database says to the evidence: by SQL, as superuser, because row level security must not hide a fault.
// Everything throws test::sql_error.
#pragma once

#include "tests/checker/evidence.hpp"
#include "tests/support/test_cluster.hpp"

#include <cstdint>
#include <optional>
#include <string>
#include <vector>

namespace colloquy::checker {

class truth {
public:
  explicit truth(const std::string& conninfo)
    : connection_(conninfo) {}

  /// What is not as it was promised: events once, at their offsets, with their digests; sessions, forks and turns. And
  /// what must hold whatever was answered: logs without gaps, nothing twice, one running turn, exact counters. Looked
  /// at are the sessions of the evidence, and those that were written into in these last seconds, or all. A sentence
  /// each, with a sample.
  std::vector<std::string> faults(const evidence& promised, std::optional<double> seconds = std::nullopt);

  /// As the next run's load is told: sessions, and turns that run, each as a line of lines.hpp.
  std::vector<line> sessions(std::size_t newest);
  std::vector<line> running_turns(std::size_t limit);

  std::int64_t count(const std::string& sql);
  std::string text(const std::string& sql) { return connection_.value(sql); }

private:
  void say(const evidence& promised);
  void choose(std::optional<double> seconds);
  void look_at_promises(std::vector<std::string>& found);
  void look_at_logs(std::vector<std::string>& found);
  void look_at_turns(std::vector<std::string>& found);
  void copy(const std::string& table, const std::string& rows);
  void look(const char* rule, const std::string& sql, std::vector<std::string>& found);

  test::test_connection connection_;
};

} // namespace colloquy::checker
