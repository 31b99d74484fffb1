// The directory: finds the session actor of a conversation, or wakes it. All callers go through it, so that a session
// can end and come back without anybody noticing.
//
// Accepts (messages/directory_interface.hpp)
//   create_session, get_session, append_events, start_turn, end_turn   handed to the session actor, which answers
//   read_events                                                       handed to the reader
//   flush         answered when everything accepted before is durable
// and session_finished from sessions, writer_ready from the writer.
// Ordering: requests for one session reach it in the order in which they came here.
// Waking: a session is woken once, whoever asks; requests that come while it falls asleep are held (a bounded number)
//   and go to its next incarnation. A session that died is woken only behind a barrier of a writer that has settled,
//   because a writer may still hold its writes; what is asked of it meanwhile waits at most for request_timeout twice.
// State it owns: who is awake, least recently used first; the writer, the reader, the writer's ledger.
// Bounds: sessions_resident_max; past it `overloaded`, and the least recently used is asked to sleep.
// Death of the reader: another is started. Death of the writer: another is started on the same ledger, and every
// session sends again what is not durable. Its own death ends sessions, writer and reader.
#pragma once

#include "actors/reader.hpp"
#include "actors/session.hpp"
#include "actors/writer.hpp"

#include <caf/actor_clock.hpp>
#include <caf/typed_event_based_actor.hpp>

#include <chrono>
#include <functional>
#include <list>
#include <memory>
#include <unordered_map>
#include <vector>

namespace colloquy::actors {

struct directory_tick {};

struct session_ended {
  session_key session;
  caf::actor_id actor = 0;
};

} // namespace colloquy::actors

CAF_ALLOW_UNSAFE_MESSAGE_TYPE(colloquy::actors::directory_tick)
CAF_ALLOW_UNSAFE_MESSAGE_TYPE(colloquy::actors::session_ended)

namespace colloquy::actors {

struct directory_options {
  process_id process;
  wall_clock now = system_time;
  std::shared_ptr<byte_budget> budget;
  std::size_t session_undurable_bytes_max = std::size_t{32} << 20;
  std::size_t sessions_resident_max = 1'000'000;
  std::chrono::milliseconds session_idle_timeout{300'000};
  std::chrono::milliseconds request_timeout{30'000};
  writer_options writing;
};

using directory_internal = directory_actor::extend<caf::reacts_to<session_finished>, caf::reacts_to<writer_ready>,
                                                   caf::reacts_to<session_ended>, caf::reacts_to<directory_tick>>;

class directory : public directory_internal::base {
public:
  directory(caf::actor_config& config, supervisor_actor supervisor, directory_options options);

  behavior_type make_behavior() override;
  void on_exit() override;

private:
  using time_point = caf::actor_clock::time_point;
  using flush_promise = caf::typed_response_promise<result<flushed>>;

  struct waiting_flush {
    flush_promise answer;
    time_point deadline;
  };

  enum class residence { awake, falling_asleep, draining };

  struct resident {
    session_actor actor;
    residence state = residence::awake;
    std::vector<std::function<void(result<resident*>)>> held{};
    std::list<session_key>::iterator place;
    time_point last_used;
    time_point held_until; // while draining: then what is held is refused
  };
  using resident_map = std::unordered_map<session_key, resident>;

  template <class Value, class Request>
  caf::typed_response_promise<result<Value>> route(Request& request);
  caf::typed_response_promise<result<session_record>> create(create_session& request);
  resident* find_or_wake(const session_key& key);
  resident* start_session(const session_key& key, session::origin from);
  void put_to_sleep(resident_map::iterator at);
  void ask_to_sleep(const session_key& key, const session_actor& actor);
  resident* find_falling_asleep(const session_key& key, caf::actor_id actor);
  void on_sleep_answer(const session_key& key, caf::actor_id of, sleep_answer answer);
  void on_session_ended(const session_ended& ended);
  void drain(resident_map::iterator at);
  void await_writes_of(const session_key& key);
  void drain_further();
  void refuse_held_too_long(time_point now);
  void end_residence(const session_key& key);
  void on_tick();
  bool is_full();

  void start_reader();
  void start_writer();
  void on_down(const caf::down_msg& down);
  void on_writer_ready();
  void resend_answered(caf::actor_id of_writer);
  flush_promise flush_all();
  void pass_barrier(waiting_flush waiting);
  void expire_flushes(time_point now);

  supervisor_actor supervisor_;
  const directory_options options_;
  std::shared_ptr<session_environment> environment_;
  std::shared_ptr<writer_ledger> ledger_;
  writer_actor writer_;
  reader_actor reader_;
  resident_map residents_;
  std::list<session_key> by_use_; // least recently used first
  bool writer_settled_ = false;   // it is ready and every session has sent again
  std::size_t resends_under_way_ = 0;
  std::vector<waiting_flush> flushes_; // until the writer is settled
  std::vector<session_key> draining_;  // those that wait for a settled writer, or to ask it once more
};

} // namespace colloquy::actors
