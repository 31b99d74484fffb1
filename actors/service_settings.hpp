// From the settings to the options of the actors.
#pragma once

#include "actors/connection.hpp"
#include "actors/database_sessions.hpp"
#include "actors/directory.hpp"
#include "actors/journal_interface.hpp"
#include "actors/supervisor.hpp"
#include "actors/tenant_meter.hpp"
#include "config/settings.hpp"
#include "db/endpoint.hpp"
#include "messages/byte_budget.hpp"

#include <memory>
#include <string>

namespace colloquy::actors {

std::shared_ptr<const connection_options> make_connection_options(const config::settings& settings,
                                                                  db::endpoint_options endpoint_options,
                                                                  const db::endpoint& endpoint);

pool_options make_pool_options(const config::settings& settings);

database_sessions_options make_database_sessions_options(const config::settings& settings,
                                                         std::string owner_conninfo);

directory_options make_directory_options(const config::settings& settings, std::shared_ptr<byte_budget> budget,
                                         journal_actor journal, std::shared_ptr<tenant_meter> meter);

} // namespace colloquy::actors
