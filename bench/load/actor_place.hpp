// The service in this process, and the actor that asks it.
#pragma once

#include "actors/service.hpp"
#include "bench/load/actor_client.hpp"
#include "bench/load/load_place.hpp"

#include <caf/actor_system.hpp>
#include <caf/actor_system_config.hpp>

#include <memory>
#include <string>

namespace colloquy::load {

class actor_place : public load_place {
public:
  /// Throws bench_failure if the service does not start.
  actor_place(const config::settings& settings, const std::string& conninfo, std::size_t tenants, std::size_t threads);
  ~actor_place() override { end(); }

  load_client& client() override { return *client_; }
  void post(std::function<void()> what) override;
  void end() override;

  caf::actor_system& system() { return system_; }
  actors::service& service() { return *service_; }
  /// Ends the service too; everything must have become durable. Throws bench_failure.
  void stop();

private:
  struct scheduling : caf::actor_system_config {
    explicit scheduling(std::size_t threads);
  };

  const config::settings settings_;
  scheduling scheduling_;
  caf::actor_system system_;
  std::unique_ptr<actors::service> service_;
  std::unique_ptr<actor_client> client_; ///< made and used by the actor
  caf::actor actor_;
};

} // namespace colloquy::load
