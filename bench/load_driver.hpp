// A driver: appends its share of a slice through the directory, one message a request.
//
// Accepts
//   begin_load -> load_outcome_ptr  once; then it ends. Answered when every request is answered, or one has failed.
//   send_due                        open loop: sends whatever is due by now.
// Closed loop (no interval): `concurrency` requests in flight, at most one of a session, so that a session's messages
//   arrive in order even if one has to be sent again.
// Open loop: the i-th message is due at start + i * interval and sent then, whatever is still unanswered; its latency
//   counts from when it was due, so a service that stalls cannot hide it by stalling its callers.
// Like every caller it reserves the bytes first. `overloaded` is waited out in the closed loop; in the open one it ends
//   the run.
// Deadlines: it gives up when nothing has been answered for request_timeout, which it looks at once a second. CAF's own
//   timeouts pass through one locked clock for all actors, which costs much of the throughput; request_timeouts shows
//   how much.
// State it owns: what is left to send, and the latencies.
#pragma once

#include "bench/histogram.hpp"
#include "bench/workload.hpp"
#include "messages/byte_budget.hpp"
#include "messages/directory_interface.hpp"

#include <caf/typed_event_based_actor.hpp>
#include <caf/typed_response_promise.hpp>

#include <chrono>
#include <deque>
#include <memory>
#include <optional>
#include <string>

namespace colloquy::bench {

using steady = std::chrono::steady_clock;

struct load_outcome {
  std::size_t accepted = 0;
  std::size_t retried = 0;
  std::optional<std::string> failure;
  histogram latency;  ///< open loop: from due to answered
  histogram lateness; ///< open loop: from due to sent, what the bench itself adds to it
};
using load_outcome_ptr = std::shared_ptr<const load_outcome>;

struct load_plan {
  directory_actor directory;
  std::shared_ptr<byte_budget> budget;
  std::shared_ptr<const workload> work;
  std::shared_ptr<const slice> part;
  std::size_t driver = 0; ///< takes the sessions s with s % drivers == driver
  std::size_t drivers = 1;
  std::size_t concurrency = 1;
  durability wanted = durability::accepted;
  std::chrono::milliseconds request_timeout{};
  bool request_timeouts = false;                    ///< a timeout of CAF's for each request
  std::optional<std::chrono::nanoseconds> interval; ///< open loop; then there is one driver
};

struct begin_load {};
struct send_due {};
struct load_watch {};
struct load_retry {
  std::size_t session = 0;
};

} // namespace colloquy::bench

CAF_ALLOW_UNSAFE_MESSAGE_TYPE(colloquy::bench::load_outcome_ptr)
CAF_ALLOW_UNSAFE_MESSAGE_TYPE(colloquy::bench::begin_load)
CAF_ALLOW_UNSAFE_MESSAGE_TYPE(colloquy::bench::send_due)
CAF_ALLOW_UNSAFE_MESSAGE_TYPE(colloquy::bench::load_watch)
CAF_ALLOW_UNSAFE_MESSAGE_TYPE(colloquy::bench::load_retry)

namespace colloquy::bench {

using load_driver_actor =
    caf::typed_actor<caf::replies_to<begin_load>::with<load_outcome_ptr>, caf::reacts_to<send_due>>;
using load_driver_internal = load_driver_actor::extend<caf::reacts_to<load_retry>, caf::reacts_to<load_watch>>;

class load_driver : public load_driver_internal::base {
public:
  load_driver(caf::actor_config& config, load_plan plan);

  behavior_type make_behavior() override;
  void on_exit() override;

private:
  void begin();
  void watch();
  void fill();
  void send_all_due();
  void send(slice::place at, steady::time_point due);
  void on_answer(slice::place at, steady::time_point due, const result<appended>& given);
  void send_again_later(std::size_t session, const error& why);
  void fail(std::string why);
  void finish_if_done();

  load_plan plan_;
  std::shared_ptr<load_outcome> outcome_ = std::make_shared<load_outcome>();
  caf::typed_response_promise<load_outcome_ptr> answer_;
  std::deque<std::size_t> ready_;  // closed loop: sessions that have something left and nothing in flight
  std::vector<event_offset> next_; // closed loop: by session
  std::size_t messages_ = 0;       // its share
  std::size_t sent_ = 0;           // open loop
  std::size_t in_flight_ = 0;      // closed loop: with those that wait to be sent again
  steady::time_point started_;
  std::size_t accepted_seen_ = 0; // by the last watch, and since when
  steady::time_point progress_seen_;
};

} // namespace colloquy::bench
