// Reading the settings from everywhere they may be given, and telling every mistake at once.
#pragma once

#include "config/settings.hpp"

#include <filesystem>
#include <map>
#include <optional>
#include <string>
#include <utility>
#include <vector>

namespace colloquy::config {

/// What settings are read from, as plain data. For each setting the first source that gives it wins:
///   flags, then the environment, then the `.env` file, then the settings file, then the default.
/// Within the environment, and within the `.env`, the names of a setting win in the order of its descriptor, our own
/// COLLOQUY_ name first. A source that is overridden is not checked.
struct sources {
  /// Name ("pool-max", "--pool-max" or "pool_max") and value, with units as in the file. Of a repeated one the last
  /// wins.
  std::vector<std::pair<std::string, std::string>> flags;
  std::map<std::string, std::string> environment;
  /// Read if given, and must be there. Shared with other programs: names that are not ours are left alone.
  std::optional<std::filesystem::path> env_file;
  /// `key = value` lines; all must be settings. Read if given, and must be there.
  std::optional<std::filesystem::path> file;
};

/// This process's environment, and the working directory's `.env` if there is one. Not while another thread changes
/// the environment.
sources sources_of_process();

struct mistake {
  std::string setting;              ///< its name; for a name that nobody knows, that name
  std::string source;               ///< "environment DB_POOL_MAX", "file x.conf line 3", "flag --pool-max", "default"
  std::optional<std::string> value; ///< what was written, secrets hidden; nothing where showing it could show a secret
  std::string explanation;          ///< what is allowed, or what is wrong: "must be a whole number, 1 to 1000"
};

/// One line, without line end: the setting, the value, the source, what is allowed. Unprintable bytes are replaced and
/// long values cut.
std::string format(const mistake& each);

struct loaded {
  settings values;               ///< to be used only if there are no mistakes
  std::vector<mistake> mistakes; ///< all of them: files, unknown names, values in the table's order, cross checks
};

/// Reads, expands ${NAME} (from the environment, then the `.env`), checks, fills in what depends on something else:
/// - data_dir: $XDG_DATA_HOME/colloquy, else ~/.local/share/colloquy; a mistake if neither is known and the embedded
///   server needs it. Relative paths become absolute, from the working directory.
/// - journal_path, where the journal is on: journal.db in data_dir; a mistake if that is not known either.
/// - what the profile stands for, where it is not given itself.
/// - acquire_timeout, where not given, is connect_timeout.
/// - database, where not given, is built from the pieces for a Supabase project, where there are any (supabase.hpp).
/// - pool_min, reconnect_delay_first, tenant_waiters_max and session_undurable_bytes_max, where not given, follow their
///   upper bounds down.
/// An empty value: of a flag, the file or a COLLOQUY_ name it counts (an empty `database` is the embedded server); of
/// any other name it is as if the name were not set.
/// Throws nothing but std::bad_alloc.
loaded load(const sources& from);

} // namespace colloquy::config
