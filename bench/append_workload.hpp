// The service under load, as a host would use it: an actor_system, a service on it, and callers of its directory.
#pragma once

#include "actors/service.hpp"
#include "bench/bench_failure.hpp"
#include "bench/load_driver.hpp"
#include "bench/options.hpp"
#include "bench/workload.hpp"
#include "config/settings.hpp"

#include <caf/actor_system.hpp>
#include <caf/actor_system_config.hpp>

#include <functional>
#include <memory>
#include <string>
#include <vector>

namespace colloquy::bench {

/// Asked some times a second while something is waited for; throws to end the run.
using interruption_check = std::function<void()>;

/// CAF's scheduler; the defaults of the options are how the program runs it.
class bench_system_config : public caf::actor_system_config {
public:
  explicit bench_system_config(const bench_options& options);
};

class append_workload {
public:
  append_workload(const bench_options& options, const config::settings& settings, const std::string& conninfo,
                  interruption_check check);

  /// Made through the directory and durable.
  std::vector<session_record> make_sessions();

  struct outcome {
    std::chrono::nanoseconds time{}; ///< from before the first append until the flush was answered
    std::size_t retried = 0;
    histogram latency;
    histogram lateness;
  };
  /// As fast as the service takes them.
  outcome run_closed_loop(const std::shared_ptr<const workload>& work, const std::shared_ptr<const slice>& part);
  /// At messages_per_second, whether the service keeps up or not.
  outcome run_open_loop(const std::shared_ptr<const workload>& work, const std::shared_ptr<const slice>& part,
                        double messages_per_second, durability wanted);

  /// Ends the service; it must have become durable, all of it.
  void stop();

private:
  load_plan plan_for(const std::shared_ptr<const workload>& work, const std::shared_ptr<const slice>& part) const;
  std::vector<load_outcome_ptr> run(const std::vector<load_driver_actor>& drivers);
  void flush_all();

  const bench_options options_;
  const config::settings settings_;
  interruption_check check_;
  bench_system_config system_config_;
  caf::actor_system system_;
  std::unique_ptr<actors::service> service_;
};

} // namespace colloquy::bench
