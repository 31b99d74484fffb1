// Where this machine keeps PostgreSQL's server programs.
#pragma once

#include <filesystem>
#include <optional>
#include <string>

#include "db/embedded_files.hpp"
#include "db/embedded_process.hpp"
#include "messages/error.hpp"

namespace colloquy::db::embedded {

/// The oldest PostgreSQL that Colloquy works with.
inline constexpr int oldest_major = 15;

struct server_programs {
  std::filesystem::path folder; ///< holds `initdb` and `postgres`
  int major = 0;
};

struct program_search {
  std::filesystem::path only_here;  ///< empty: the usual places, then PATH
  std::filesystem::path cluster;    ///< named in messages
  std::optional<int> cluster_major; ///< of a cluster that is there; its version and no other can open it
  std::optional<os_user> run_as;    ///< who must be able to run them
};

/// The programs of the cluster's version, or the newest if there is no cluster. Blocks for some milliseconds.
result<server_programs> find_programs(const program_search& search, steady_time deadline);

} // namespace colloquy::db::embedded
