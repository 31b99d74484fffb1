// What `colloquy doctor` says: a result for each probe, and a verdict with the next thing to do. Pure; no secret gets
// in, for none is in the facts.
#pragma once

#include "db/doctor_facts.hpp"

#include <nlohmann/json.hpp>

#include <chrono>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

namespace colloquy::cli {

enum class probe_status { ok, warn, fail, skip };

/// "ok", "warn", "fail", "skip".
std::string_view to_string(probe_status status) noexcept;

struct probe_result {
  std::string name; ///< stable: "dns", "read_write"
  probe_status status = probe_status::ok;
  std::string summary;                                               ///< one sentence
  nlohmann::ordered_json details = nlohmann::ordered_json::object(); ///< for programs, and for who wants to know more
  std::string advice{};                                              ///< what to do; may have several lines
  std::chrono::milliseconds took{0};

  /// At least that bad from now on.
  void worsen(probe_status to) noexcept;
  /// One more sentence, behind a semicolon.
  void say(std::string_view sentence);
  /// One more piece of advice, on a line of its own.
  void advise(std::string_view sentence);
};

/// A probe that could not be done.
probe_result skipped(std::string name, std::string_view because);

/// A probe that somebody refused: the words, and the advice for them.
probe_result failed(std::string name, const db::db_failure& why);

struct doctor_report {
  std::vector<probe_result> probes;
  std::optional<nlohmann::ordered_json> sizing{}; ///< of --advise
};

/// "ok", "warnings" or "failed".
std::string_view verdict_of(const doctor_report& report) noexcept;

/// The advice of the first probe that failed, else of the first that warned.
std::string next_of(const doctor_report& report);

/// One line for the probe, and its advice below it. `coloured`: with a terminal's escapes.
std::string to_text(const probe_result& probe, bool coloured);

/// The verdict and the next thing to do, after all probes.
std::string closing_text(const doctor_report& report, bool coloured);

/// {"verdict", "next", "probes": [...], "sizing"?} in one line, without its end.
std::string to_json(const doctor_report& report);

/// Without anything that would move a terminal's cursor; line ends stay.
std::string printable(std::string_view text);

} // namespace colloquy::cli
