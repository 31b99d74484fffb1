// How large a pool should be. Pure arithmetic: who asks brings the figures.
#pragma once

#include <cstddef>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

namespace colloquy::config {

/// What Supabase's session pooler gives a project of its smallest size.
inline constexpr std::size_t supabase_pooler_limit = 30;

struct sizing_input {
  std::size_t cores = 1;       ///< of the database's machine
  std::size_t disks = 1;       ///< its effective spindles; 1 for an SSD or a cloud's volume
  std::size_t concurrency = 1; ///< operations that are expected at a time
  /// PostgreSQL's max_connections, superuser_reserved_connections and (from 16 on) reserved_connections.
  std::size_t max_connections = 100;
  std::size_t superuser_reserved_connections = 3;
  std::size_t reserved_connections = 0;
  std::size_t used_by_others = 0;            ///< connections to the server that are not this pool's
  std::optional<std::size_t> pooler_limit{}; ///< of the pooler in between; nothing where there is none
  std::optional<std::size_t> pool_max{};     ///< as it is set now; warned about if it cannot be had
};

/// A sentence, and the setting of ours that it is about.
struct sizing_warning {
  std::string_view setting;
  std::string sentence;
};

struct sizing_advice {
  std::size_t by_cores;             ///< cores x 2 + disks: what the server can work on at a time (PostgreSQL's wiki)
  std::size_t by_concurrency;       ///< concurrency + 20 %, rounded up: the session pooler's guide, for clouds
  std::size_t by_concurrency_ample; ///< concurrency x 1.5, rounded up, + 5: the guide to persistent agents
  std::size_t server_left;          ///< max_connections less what is reserved and what others use
  std::size_t limit;                ///< the least of server_left and the pooler's limit
  std::size_t pool_min;             ///< recommended: a third of pool_max, rounded up, as in the profiles
  std::size_t pool_max;             ///< recommended; 2 at least, even where that cannot be had
  std::vector<sizing_warning> warnings;
};

/// pool_max is the larger of by_cores and by_concurrency, so that neither the server nor the callers wait; not more
/// than by_concurrency_ample, for the rest would only be idle; and not more than the limit. Figures above a million
/// count as a million.
sizing_advice advise(const sizing_input& input);

} // namespace colloquy::config
