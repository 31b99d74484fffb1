// The whole service on a server of its own, for who looks at sessions one by one: asks of them from inside its
// actor_system, as a host does, puts them to sleep, and counts who is in memory.
#pragma once

#include "actors/service.hpp"
#include "bench/append_workload.hpp"
#include "bench/bench_database.hpp"

#include <caf/actor_system.hpp>
#include <caf/event_based_actor.hpp>
#include <caf/scoped_actor.hpp>

#include <chrono>
#include <cstddef>
#include <memory>
#include <utility>
#include <vector>

namespace colloquy::bench {

template <class Request>
struct timed_answer {
  result<typename Request::reply> answer{error{error_code::internal, "no answer in time"}};
  std::chrono::nanoseconds time{}; ///< from sending the request until its answer was there
};

struct memory_room {
  std::size_t sessions = 1000; ///< in memory at once, without any being asked to sleep for the others
  std::size_t tail_cache_bytes_max = config::settings{}.tail_cache_bytes_max;
};

class sessions_service {
public:
  sessions_service(const bench_options& options, const memory_room& room, interruption_check check);

  bench_database& database() { return database_; }
  const config::settings& settings() const { return settings_; }
  const directory_actor& directory() const { return service_->directory(); }
  const documents_actor& documents() const { return service_->documents(); }
  caf::actor_system& system() { return system_; }

  /// Asks from an actor of the same system.
  template <class Request>
  timed_answer<Request> ask(Request request) {
    auto outcome = std::make_shared<timed_answer<Request>>();
    await(system_.spawn([outcome, to = directory(), limit = settings_.request_timeout,
                         request = std::move(request)](caf::event_based_actor* self) mutable {
      const auto begun = steady::now();
      self->request(to, limit, std::move(request))
          .then(
              [outcome, begun](result<typename Request::reply>& answer) {
                outcome->time = steady::now() - begun;
                outcome->answer = std::move(answer);
              },
              [](const caf::error&) {});
    }));
    return std::move(*outcome);
  }

  /// The same; throws if the answer is an error.
  template <class Request>
  typename Request::reply must(Request request) {
    auto asked = ask(std::move(request));
    if (!asked.answer)
      throw bench_failure("a request was refused: " + asked.answer.failure().message);
    return std::move(asked.answer).value();
  }

  /// Until an actor has ended, or the run is interrupted.
  void await(const caf::actor& actor);
  /// Waits so long, unless the run is interrupted.
  void pause(std::chrono::milliseconds length);

  /// How many sessions are in memory, as the directory counts them.
  std::size_t resident();

  /// Has the directory put them to sleep as it does when their idle timeout is over, and waits until they are out of
  /// memory. All of them must be there, and nobody may use a session meanwhile.
  void put_to_sleep(const std::vector<session_key>& sessions);

  /// Ends the service and the server; everything must have become durable.
  void stop();

private:
  interruption_check check_;
  bench_database database_;
  const config::settings settings_;
  bench_system_config system_config_;
  caf::actor_system system_;
  std::unique_ptr<actors::service> service_;
};

} // namespace colloquy::bench
