// The listener: LISTEN for everybody, on one backend.
//
// Accepts
//   listen_to     -> listening, once the server has taken the LISTEN. Channels are counted: many may listen to one.
//                    Errors: invalid_request (the channel's name), overloaded (too many channels),
//                    database_unavailable (no backend within the time allowed; it goes on trying, so the subscriber
//                    stays and is told when it hears).
//   stop_listening   of one subscriber to one channel; its death says the same for all.
// Sends, to subscribers
//   channel_notified what NOTIFY sent, in the order of the server's commits.
//   channel_gap      notifications may have been missed: the backend was lost, or replaced, and listens again. Rows are
//                    the truth; read them.
// Ordering: of one channel, as the server sent them; a gap comes after what was heard before it and before all that is
//   heard after it.
// State it owns: the channels and their subscribers; the lease, which it has only while there is a channel.
// Probing: every `probe_interval`, so that a backend that has died silently is found.
// Death: its lease ends with it; subscribers see it by monitoring.
#pragma once

#include "actors/listener_interface.hpp"
#include "actors/pool_interface.hpp"

#include <caf/typed_event_based_actor.hpp>
#include <caf/typed_response_promise.hpp>

#include <chrono>
#include <functional>
#include <map>
#include <string>
#include <vector>

namespace colloquy::actors {

struct listener_tick {};

} // namespace colloquy::actors

CAF_ALLOW_UNSAFE_MESSAGE_TYPE(colloquy::actors::listener_tick)

namespace colloquy::actors {

using listener_internal = listener_actor::extend<caf::reacts_to<backend_notified>, caf::reacts_to<lease_recalled>,
                                                 caf::reacts_to<lease_lost>, caf::reacts_to<listener_tick>>;

struct listener_options {
  std::chrono::milliseconds request_timeout{10'000};
  std::chrono::milliseconds probe_interval{60'000};
  std::size_t channels_max = 10'000;
  std::size_t subscribers_max = 100'000; ///< over all channels
};

class listener : public listener_internal::base {
public:
  listener(caf::actor_config& config, supervisor_actor supervisor, listener_options options);

  behavior_type make_behavior() override;
  void on_exit() override;

private:
  using time_point = pool_time;
  using promise = caf::typed_response_promise<result<listening>>;
  struct waiting {
    promise answer;
    time_point deadline;
  };
  struct channel {
    std::vector<channel_subscriber> subscribers;
    std::vector<waiting> waiters; // until the server has taken the LISTEN
    bool is_heard = false;
    bool had_gap = false; // to be told once it is heard again
  };
  using channel_map = std::map<std::string, channel>;

  promise add(const listen_to& wanted);
  void remove(const std::string& name, const caf::actor_addr& subscriber);
  void lease();
  void on_leased(const leased_connection& leased);
  void on_lost(const std::string& why);
  void listen(const std::string& name);
  void on_heard(const std::string& name, const db::unit_outcome& outcome);
  void run(db::unit work, std::function<void(const db::unit_outcome&)> then);
  void on_notified(const backend_notified& got);
  void on_tick();
  void release();

  supervisor_actor supervisor_;
  const listener_options options_;
  channel_map channels_;
  std::size_t subscribers_ = 0;
  connection_actor connection_;
  lease_id lease_ = 0;
  bool leasing_ = false;
  std::chrono::milliseconds lease_delay_{0};         // grows while backends are had and LISTEN fails on them
  std::map<caf::actor_id, std::size_t> channels_of_; // subscribers; CAF's demonitor() takes all monitors of one away
  time_point lease_again_{};
  time_point probe_due_{};
};

} // namespace colloquy::actors
