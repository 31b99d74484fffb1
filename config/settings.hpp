// Every setting of Colloquy: one struct that the program reads, and one table that says everything about each member.
#pragma once

#include "messages/error.hpp"

#include <chrono>
#include <cstddef>
#include <filesystem>
#include <functional>
#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <vector>

namespace colloquy::config {

inline constexpr std::size_t kibibyte = 1024;
inline constexpr std::size_t mebibyte = 1024 * kibibyte;
inline constexpr std::size_t gibibyte = 1024 * mebibyte;

enum class log_level { trace, debug, info, warn, error };

std::string_view to_string(log_level level) noexcept;

/// The settings, each with its default; the table below gives meaning and range. What load() returns without a
/// mistake lies in these ranges, so readers check nothing again.
struct settings {
  std::optional<std::string> database;                   ///< nothing: the embedded server. Secret: holds a password
  std::string schema = "public";                         ///< safe inside a quoted SQL identifier
  std::filesystem::path data_dir;                        ///< absolute once loaded; empty only if `database` is set
  std::optional<std::filesystem::path> postgres_bin_dir; ///< nothing: the programs are looked for
  std::string embedded_user = "postgres";
  config::log_level log_level = config::log_level::info;
  std::string application_name = "colloquy-mcp";
  std::size_t pool_min = 5;
  std::size_t pool_max = 20;
  std::chrono::milliseconds connect_timeout = std::chrono::seconds{10};
  std::chrono::milliseconds statement_timeout = std::chrono::seconds{30};
  std::chrono::milliseconds idle_in_transaction_timeout = std::chrono::seconds{60};
  std::size_t batch_events_max = 2000;
  std::size_t batch_bytes_max = 4 * mebibyte;
  std::size_t batches_in_flight_max = 2;
  std::size_t undurable_bytes_max = 256 * mebibyte;
  std::size_t session_undurable_bytes_max = 32 * mebibyte;
  std::size_t sessions_resident_max = 1'000'000;
  std::chrono::milliseconds session_idle_timeout = std::chrono::minutes{5};
  std::chrono::milliseconds request_timeout = std::chrono::seconds{30};
  std::chrono::milliseconds shutdown_timeout = std::chrono::seconds{5};
};

enum class setting_kind { text, path, level, count, duration, size };

/// How a value is written under one environment name: as in the file, with its unit, or (names that users bring from
/// elsewhere) as a bare number.
enum class spelling { with_unit, bare_milliseconds, bare_seconds };

struct environment_name {
  std::string name;
  spelling written = spelling::with_unit;

  /// COLLOQUY_...: meant for us, so an empty value counts; other programs' names left empty count as not set.
  bool is_own() const noexcept { return name.starts_with("COLLOQUY_"); }
};

struct setting_descriptor {
  std::string_view name; ///< in the file; the flag is --name with '-' for '_'
  setting_kind kind;
  std::string default_text;                  ///< as it may stand in the file
  std::string allowed;                       ///< the range; expected() makes a phrase of it
  std::string_view meaning;                  ///< one sentence
  std::vector<environment_name> environment; ///< the first that is set wins; our own name is always the first
  bool secret = false;                       ///< shown only through shown_value()

  /// Checks the text and sets the member; on failure the member is as it was, and the message is what is allowed
  /// ("a whole number, 1 to 1000"), without the value, which may be secret.
  std::function<result<void>(settings&, std::string_view, spelling)> read;
  /// The member as it may stand in the file. Secrets are NOT hidden.
  std::function<std::string(const settings&)> write;
};

/// The table, in the order of the struct. Made once; thread-safe.
std::span<const setting_descriptor> descriptors();

/// By the name in the file; nullptr if there is none.
const setting_descriptor* find_setting(std::string_view name);

/// True for every environment name that some setting is read from.
bool is_environment_name(std::string_view name);

/// Kind and range as one phrase: "a duration with its unit (ms, s, min or h), 100ms to 10min".
std::string expected(const setting_descriptor& descriptor);

/// The member as it may be logged: passwords redacted.
std::string shown_value(const setting_descriptor& descriptor, const settings& values);

} // namespace colloquy::config
