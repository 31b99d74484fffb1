// Backends without a database, for the supervisor on stepped time: they connect, run units one after another, are
// leased, checked and retired as the real connection does it (actors/connection.hpp), each after a time that the test
// sets. What goes wrong, and when, the test says; what happened is recorded.
#pragma once

#include "actors/supervisor.hpp"
#include "db/symptoms.hpp"

#include <caf/actor.hpp>
#include <caf/typed_event_based_actor.hpp>
#include <caf/typed_response_promise.hpp>

#include <chrono>
#include <cstdint>
#include <deque>
#include <map>
#include <memory>
#include <optional>
#include <string>
#include <vector>

namespace colloquy::test {

struct fake_login {};
struct fake_unit_over {
  std::uint64_t turn = 0;
};
struct fake_check_over {};
struct fake_reset_over {};
struct fake_tick {};
/// Test to connection: the way to the server is gone.
struct fake_cut {
  db::db_failure why;
};

/// A unit that a backend has run to its end.
struct unit_run {
  std::string tenant;
  std::int32_t backend = 0;
  actors::lease_id lease = 0;
  actors::pool_time started{};
  actors::pool_time ended{};
};

/// The server, and all connections to it. Not thread-safe: for the stepped system only. Must outlive the supervisor.
class fake_server {
public:
  // What the test sets.
  std::chrono::milliseconds connect_time{20};
  std::chrono::milliseconds service_time{10}; ///< of each unit
  std::chrono::milliseconds check_time{5};
  std::chrono::milliseconds reset_time{5}; ///< to make a session as new
  std::chrono::milliseconds leak_after{60'000};
  std::optional<db::db_failure> refusal{}; ///< of every login
  std::size_t places = 100'000;            ///< for connections, before there are too many
  bool shares_one_backend = false;         ///< as a pooler in transaction mode does
  bool checks_fail = false;
  db::endpoint_kind kind = db::endpoint_kind::direct;
  std::deque<db::db_failure> unit_failures{}; ///< of the next units that are run
  std::optional<db::db_failure> all_units_fail{};

  // What happened.
  std::vector<actors::pool_time> logins{}; ///< when each was tried
  std::vector<unit_run> units{};
  std::size_t live_max = 0; ///< connections at once, those that log in among them
  std::size_t checks = 0;
  std::size_t resets = 0;
  std::size_t strays = 0; ///< units that came to a backend that was another's

  std::size_t live() const { return live_.size(); }
  /// Units that its backends have and that are not at their end.
  std::size_t under_way = 0;

  /// Ends the way to all backends, or to the one at that place among them.
  void cut_all();
  void cut(std::size_t which);
  /// The connection's actor dies without a word.
  void kill(std::size_t which);
  void kill_all();

  actors::connection_factory factory();

private:
  friend class played_backend;
  struct connected {
    caf::actor actor;
    bool is_ready = false;
  };
  std::map<std::uint64_t, connected> live_{}; // by slot
  std::int32_t last_pid_ = 1000;
};

db::db_failure refused();
db::db_failure wrong_password();
db::db_failure no_place_left();
db::db_failure connection_broke();

} // namespace colloquy::test

CAF_ALLOW_UNSAFE_MESSAGE_TYPE(colloquy::test::fake_login)
CAF_ALLOW_UNSAFE_MESSAGE_TYPE(colloquy::test::fake_unit_over)
CAF_ALLOW_UNSAFE_MESSAGE_TYPE(colloquy::test::fake_check_over)
CAF_ALLOW_UNSAFE_MESSAGE_TYPE(colloquy::test::fake_reset_over)
CAF_ALLOW_UNSAFE_MESSAGE_TYPE(colloquy::test::fake_tick)
CAF_ALLOW_UNSAFE_MESSAGE_TYPE(colloquy::test::fake_cut)
