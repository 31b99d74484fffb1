// All that a host needs which runs Colloquy in its own process: #include <colloquy/colloquy.hpp>.
#pragma once

#include "actors/pool_interface.hpp"
#include "actors/scheduler.hpp"
#include "actors/service.hpp"
#include "actors/session_handle.hpp"
#include "config/load.hpp"
#include "config/settings.hpp"
#include "db/startup.hpp"
#include "messages/agent_interface.hpp"
#include "messages/content.hpp"
#include "messages/context_variables_interface.hpp"
#include "messages/customers_interface.hpp"
#include "messages/directory_interface.hpp"
#include "messages/documents_interface.hpp"
#include "messages/tenants_interface.hpp"
#include "messages/text_message.hpp"
#include "messages/version.hpp"

namespace colloquy {

using actors::service;
using actors::service_options;
using actors::use_sparing_scheduler;
using db::database;
using db::make_ready;
using db::open_database;

} // namespace colloquy
