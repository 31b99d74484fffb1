// A server for the public conformance suite: the product's, on a data folder of its own, with the suite's own tools
// beside the product's. usage: mcp_fixture DATA_DIR. Says its address on standard output, and ends when standard input
// does.
#include "actors/service.hpp"
#include "cli/actor_system.hpp"
#include "cli/logging.hpp"
#include "db/startup.hpp"
#include "gateway/server.hpp"
#include "tests/mcp/fixture_registry.hpp"

#include <caf/actor_system.hpp>
#include <caf/actor_system_config.hpp>

#include <iostream>

namespace {

int fail(const colloquy::error& why) {
  std::cerr << "mcp_fixture: " << why.message << '\n';
  return 1;
}

int serve(const std::string& data_dir) {
  using namespace colloquy;
  config::settings settings;
  settings.data_dir = data_dir;
  settings.listen = "127.0.0.1:0";
  settings.mcp_server_name = "colloquy-fixture";
  cli::start_logging(config::log_level::warn, config::log_format::text);
  caf::actor_system_config config;
  cli::set_scheduler(config);
  caf::actor_system system(config);
  gateway::server_extras extras;
  extras.offers = std::make_shared<const gateway::mcp::registry>(tests::fixture_registry());
  auto door = gateway::server::start(system, settings, std::move(extras));
  if (!door)
    return fail(door.failure());
  auto opened = db::open_database(settings);
  if (!opened)
    return fail(opened.failure());
  if (auto ready = db::make_ready(*opened, settings); !ready)
    return fail(ready.failure());
  auto service = actors::service::start(system, {settings, opened->service_conninfo, opened->owner_conninfo});
  if (!service)
    return fail(service.failure());
  (*door)->attach(cli::handles_of(**service));
  std::cout << (*door)->addresses().front() << "/mcp" << std::endl;
  for (std::string line; std::getline(std::cin, line);) {
  }
  const bool is_drained = (*door)->drain(settings.shutdown_timeout);
  door->reset();
  const bool is_stopped = (*service)->stop(settings.shutdown_timeout).has_value();
  service->reset();
  return is_drained && is_stopped && opened->stop() ? 0 : 1;
}

} // namespace

int main(int argc, char** argv) {
  if (argc != 2) {
    std::cerr << "usage: mcp_fixture DATA_DIR\n";
    return 2;
  }
  return serve(argv[1]);
}
