// The settings of database sessions.
#include "config/setting_kinds.hpp"
#include "config/settings_table.hpp"

namespace colloquy::config {

using namespace std::chrono_literals;

void add_database_session_settings(std::vector<setting_descriptor>& table) {
  table.push_back(bool_setting("database_sessions", &settings::database_sessions,
                               "Whether callers may run SQL of their own, as roles that are made for their tenant."));
  table.push_back(count_setting("database_sessions_max", &settings::database_sessions_max, {1, 1'000'000},
                                "How many database sessions may be open at a time."));
  table.push_back(count_setting("tenant_database_sessions_max", &settings::tenant_database_sessions_max, {1, 1'000'000},
                                "How many of them may be one tenant's."));
  table.push_back(count_setting("database_backends_max", &settings::database_backends_max, {1, 1000},
                                "How many connections database sessions may have, beside those of the pool; while it "
                                "holds nothing that could not be done again, a session gives its own to others."));
  table.push_back(count_setting(
      "tenant_database_backends_max", &settings::tenant_database_backends_max, {0, 1000},
      "How many of them may be one tenant's; 0 for three quarters, so that some are left for the others."));
  table.push_back(duration_setting("database_session_idle_timeout", &settings::database_session_idle_timeout, {1s, 1h},
                                   "How long a database session may be unused before it is given back, unless it says "
                                   "so itself."));
  table.push_back(duration_setting("database_session_lifetime", &settings::database_session_lifetime, {1s, 24h * 30},
                                   "How long a database session may live, however much it is used."));
  table.push_back(duration_setting("database_backend_idle_timeout", &settings::database_backend_idle_timeout, {1s, 24h},
                                   "How long a connection of database sessions that nobody has is kept."));
}

} // namespace colloquy::config
