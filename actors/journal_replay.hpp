// What a journal holds is written again when a service starts, before anybody else is served: what the last process had
// accepted and not made durable. One actor, for one replay.
//
// Accepts
//   run_replay -> journal_replay   once; the actor ends behind its answer. Errors: those of journal and directory; what
//                                  is not replayed by then is still there at the next start.
// Then it tells the directory: journal_replayed.
// What becomes of the records of a session:
//   durable                 forgotten
//   continue its log        written again, and forgotten when they are durable: until then they stay where they are
//   do not                  go to the quarantine, with a line in the log: nothing is written over what is there
//   another owner had it    the same. The shard's last owner is the process that wrote them, or a later one that has
//                           used this very journal; else they are another's to judge
//   it was erased           no byte of them is left in the journal
//   it was never made       forgotten: who asked for it had no answer
//   there is none of it     quarantine, and nobody knows why
//   it fails                quarantine: one session's trouble is none of the others'
// A database that is away, a service that is full or not the owner any more, is everybody's trouble: it is tried again
//   for `patience`, then the replay fails. Sessions that another process owns are waited for until a process that is
//   dead cannot own them any more: it may be the one that wrote the journal.
// Bounds: a page of records is in memory, and one session's; `sessions_at_once` are replayed at once; every request has
//   a deadline.
// Death: nothing is lost, as above.
#pragma once

#include "actors/journal_interface.hpp"
#include "actors/ownership_interface.hpp"
#include "messages/directory_interface.hpp"

#include <caf/actor_clock.hpp>
#include <caf/fwd.hpp>
#include <caf/typed_event_based_actor.hpp>

#include <chrono>
#include <cstddef>
#include <deque>
#include <memory>
#include <optional>
#include <string>
#include <unordered_set>
#include <vector>

namespace colloquy::actors {

struct journal_replay {
  std::size_t durable_already = 0; ///< records
  std::size_t written_again = 0;   ///< and durable now
  std::size_t quarantined = 0;
  std::size_t erased = 0; ///< sessions that are erased, and had left something here
};

struct run_replay {
  using reply = journal_replay;
};

struct replay_again {}; ///< to itself: those that were to be tried again

} // namespace colloquy::actors

CAF_ALLOW_UNSAFE_MESSAGE_TYPE(colloquy::actors::run_replay)
CAF_ALLOW_UNSAFE_MESSAGE_TYPE(colloquy::actors::replay_again)
CAF_ALLOW_UNSAFE_MESSAGE_TYPE(colloquy::result<colloquy::actors::journal_replay>)

namespace colloquy::actors {

struct replay_options {
  shards_owned owned;
  std::chrono::milliseconds request_timeout{30'000}; ///< of journal and sessions
  std::chrono::milliseconds patience{30'000};        ///< with what is everybody's trouble
  std::chrono::milliseconds awaits_owned = db::ownership_lasts + 2 * db::ownership_renewed_every;
  std::size_t sessions_at_once = 32;
};

using journal_replayer_actor = caf::typed_actor<answers<run_replay>>;
using journal_replayer_internal = journal_replayer_actor::extend<caf::reacts_to<replay_again>>;

class journal_replayer : public journal_replayer_internal::base {
public:
  journal_replayer(caf::actor_config& config, journal_actor journal, const directory_actor& directory,
                   replay_options options);

  behavior_type make_behavior() override;
  void on_exit() override;

private:
  using time_point = caf::actor_clock::time_point;
  using records = std::vector<journal_record>;
  struct one_session { // that is being replayed
    session_key key;
    records its_records;
    time_point tried_until{};
  };
  using session_ptr = std::shared_ptr<one_session>;

  template <class Request, class Handle, class Then>
  void ask(const Handle& whom, Request request, Then then);
  void read_page();
  void on_page(journal_page& page);
  void go_on();
  void begin(const session_ptr& each);
  bool is_owned(const session_key& session) const;
  bool has_moved(const journal_record& record) const;
  void replay(const session_ptr& each);
  void on_replayed(const session_ptr& each, const replayed& outcome);
  void on_failed(const session_ptr& each, const error& why);
  void forget(const records& these);
  void put_aside(const session_key& session, const records& these, const std::string& why);
  void erase(const session_key& session, std::size_t its_records);
  void forget_done();
  void try_later(const session_ptr& each);
  void try_again();
  void end(result<journal_replay> outcome);

  journal_actor journal_;
  caf::actor directory_;
  const replay_options options_;
  shards_owned owned_;
  promise_of<run_replay> answer_;
  std::unordered_set<process_id> users_;
  std::optional<db::journal_place> after_;
  time_point owned_by_{}; // what is not owned then is another's
  bool is_read_ = false;  // all of it
  bool has_ended_ = false;
  records open_; // of the session that the next page may have more of
  std::deque<records> ready_;
  std::vector<db::journal_place> done_; // to be forgotten
  std::size_t under_way_ = 0;           // requests, and what is to be tried again
  std::vector<session_ptr> to_try_;     // again
  journal_replay outcome_;
};

/// Blocking; called from outside of actors.
result<journal_replay> replay_journal(caf::actor_system& system, const journal_actor& journal,
                                      const directory_actor& directory, replay_options options);

} // namespace colloquy::actors
