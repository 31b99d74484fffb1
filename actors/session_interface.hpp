// What the directory, the writer and a session actor say to each other. Callers never see these: they speak to the
// directory (messages/directory_interface.hpp).
//
// A session actor takes one message, session_call, that holds whichever it is: CAF keeps a table of handlers for each
// actor, and with some thirty of them an idle session would not fit into what it may cost (docs/decisions/0006). What a
// caller asked for is answered with its own type, as the directory's interface promises.
#pragma once

#include "actors/pool_interface.hpp"
#include "db/batch.hpp"
#include "messages/directory_interface.hpp"

#include <caf/typed_actor.hpp>
#include <caf/typed_response_promise.hpp>

#include <chrono>
#include <cstdint>
#include <memory>
#include <optional>
#include <string>
#include <type_traits>
#include <utility>
#include <variant>
#include <vector>

namespace colloquy::actors {

inline const error shutting_down{error_code::database_unavailable, "the service is shutting down",
                                 std::chrono::milliseconds{1000}};

template <class Request>
using promise_of = caf::typed_response_promise<result<typename Request::reply>>;

/// As a statement, and with a promise that a callback holds.
template <class Value>
void reply(caf::typed_response_promise<Value> answer, std::type_identity_t<Value> value) {
  answer.deliver(std::move(value));
}

/// Writer to session: everything up to this write of yours is durable.
struct written {
  std::uint64_t through_number = 0;
};

/// Writer to session: the row that this write was to make was not made, its external id or its key being taken.
/// `certain` is false if the batch's answer was lost: then the row may have been made after all, and the session looks.
struct creation_outcome {
  std::uint64_t number = 0;
  bool certain = true;
};

/// Writer to session: this write and all after it will not be made durable.
struct write_refused {
  std::uint64_t number = 0;
  error why;
};

/// Journal to session: everything up to this write of yours is on disk here.
struct journaled {
  std::uint64_t through_number = 0;
};

/// Journal to session: this write and all after it are not, for now.
struct journal_refused {
  std::uint64_t number = 0;
  error why;
};

/// Directory to session: end, if nothing keeps you awake. Answered with sleep_answer.
struct go_to_sleep {};
struct sleep_answer {
  bool asleep = false;
};

/// Directory to session: your time is up, unless it is not. No answer.
struct expire_session {};

/// Directory to session: this process does not own you any more. What is not durable is lost; whoever waits is told so.
struct session_disowned {};

/// Directory to session: what of you is not durable? Answered with undurable_left.
struct tell_undurable {};
struct undurable_left {
  session_key session;
  event_offset first_offset = 0;
  std::size_t events = 0;
};

/// Session to directory, which passes it on to the sweeper: my last write, which hides me, is durable; take away what
/// is left of me. Answered when all is gone. Errors: deadline_exceeded, overloaded (in both cases it goes on, or will),
/// not_found (there is nothing to erase), internal (the database refuses; it is tried again from time to time).
struct run_erasure {
  using reply = erased;
  session_key session;
  std::optional<pool_time> deadline{}; ///< none: sweeper_options::request_timeout from now
};

/// Directory to session: write nothing more; those who wait for a turn are told that the service ends. What reached the
/// writer before the answer is all there is. Answered with session_closed.
struct close_session {};
struct session_closed {};

/// Directory to session: this user is being erased. Who takes part no longer does; what is in memory of the log is
/// dropped, since it may name the user. Answered with user_forgotten.
struct forget_user {
  std::string user_id;
};
struct user_forgotten {};

/// Session to itself: something may be due.
struct session_tick {};

/// Session to directory: nothing can come of me any more; tell me to sleep.
struct session_finished {
  session_key session;
};

/// Session to directory: I have ended. Sent at the very end, whatever the reason.
struct session_ended {
  session_key session;
  caf::actor_id actor = 0;
};

/// Session to directory: make this session, which shares my log, and answer with it.
struct make_fork {
  using reply = session_record;
  session_record wanted; ///< of the parent's owner; its key, log and offsets are still to be given
  db::log_parent parent;
  std::optional<db::remembered_key> key{};
  bool has_deleted = false; ///< the session that is forked has deleted events, perhaps some that are shared
};

} // namespace colloquy::actors

CAF_ALLOW_UNSAFE_MESSAGE_TYPE(colloquy::actors::session_finished)
CAF_ALLOW_UNSAFE_MESSAGE_TYPE(colloquy::actors::session_ended)
CAF_ALLOW_UNSAFE_MESSAGE_TYPE(colloquy::actors::sleep_answer)
CAF_ALLOW_UNSAFE_MESSAGE_TYPE(colloquy::actors::undurable_left)
CAF_ALLOW_UNSAFE_MESSAGE_TYPE(colloquy::actors::run_erasure)
CAF_ALLOW_UNSAFE_MESSAGE_TYPE(colloquy::actors::session_closed)
CAF_ALLOW_UNSAFE_MESSAGE_TYPE(colloquy::actors::user_forgotten)
CAF_ALLOW_UNSAFE_MESSAGE_TYPE(colloquy::actors::make_fork)

namespace colloquy::actors {

struct session_call;

} // namespace colloquy::actors

CAF_ALLOW_UNSAFE_MESSAGE_TYPE(colloquy::actors::session_call)

namespace colloquy::actors {

using session_actor = caf::typed_actor<caf::reacts_to<session_call>>;

/// How writer and journal answer to a session.
using write_listener = session_actor;

/// Session to writer: make this durable, after everything that I sent before.
struct persist {
  db::session_write_ptr write;
  write_listener listener;
};

/// Answered when everything that reached the writer before is durable or refused.
struct barrier {};
struct barrier_passed {
  std::size_t sessions_refused = 0; ///< since the service started
};

/// How the writer is, at once.
struct get_writer_status {};
struct writer_status {
  std::size_t writes_queued = 0; ///< not yet in a batch
  std::size_t batches_in_flight = 0;
  std::size_t sessions_refused = 0; ///< since the service started
};

/// Session to writer: I know that my writes were refused and have stopped sending.
struct forget_refusal {
  caf::actor_id listener = 0;
};

} // namespace colloquy::actors

CAF_ALLOW_UNSAFE_MESSAGE_TYPE(colloquy::actors::persist)
CAF_ALLOW_UNSAFE_MESSAGE_TYPE(colloquy::actors::barrier)
CAF_ALLOW_UNSAFE_MESSAGE_TYPE(colloquy::actors::forget_refusal)
CAF_ALLOW_UNSAFE_MESSAGE_TYPE(colloquy::actors::get_writer_status)
CAF_ALLOW_UNSAFE_MESSAGE_TYPE(colloquy::result<colloquy::actors::writer_status>)
CAF_ALLOW_UNSAFE_MESSAGE_TYPE(colloquy::result<colloquy::actors::barrier_passed>)

namespace colloquy::actors {

using writer_actor =
    caf::typed_actor<caf::reacts_to<persist>, caf::replies_to<barrier>::with<result<barrier_passed>>,
                     caf::replies_to<get_writer_status>::with<result<writer_status>>, caf::reacts_to<forget_refusal>>;

/// Directory to session: this is the writer from now on; send it again what is not durable. Answered with resent when
/// that is sent.
struct resend_undurable {
  writer_actor writer;
};
struct resent {};

/// Writer to directory: what the last writer had in flight is settled; sessions may send again.
struct writer_ready {
  writer_actor writer;
};

/// Writer to directory: another process has taken over from this one; nothing more is written.
struct writer_fenced {
  process_id process;
};

/// A journal's records of a session, to be written if they are not durable.
struct replay_writes {
  std::vector<db::session_write_ptr> writes; ///< as they were written
  /// Places in the list where another actor of the session, or another process, goes on: what comes before had its end
  /// by then. Where the numbers do not rise it is so anyway.
  std::vector<std::size_t> begins{};
};
enum class replay_fate : std::uint8_t {
  is_here,    ///< the session is there: the other fields tell
  is_erased,  ///< or is being erased, for good: nothing of it is to be left
  is_unknown, ///< there is no such session, and nobody knows why
};
/// Answered when what is written again is durable.
struct replayed {
  replay_fate fate = replay_fate::is_here;
  std::size_t durable_already = 0;
  std::size_t written = 0;              ///< and durable now
  std::vector<std::size_t> unfitting{}; ///< places in the list of those that are not durable and cannot be written
  std::string why{};                    ///< they cannot, if it is not that they do not continue the log
};

/// Whatever a session takes. Callers' requests are answered with result<reply>; the others as they say above.
struct session_call {
  std::variant<create_session, get_session, update_session, erase_session, fork_session, set_participant,
               list_participants, append_events, read_events, delete_events, read_history, start_turn, renew_turn,
               end_turn, post_delta, list_turns, subscribe_events, events_taken, unsubscribe_events, make_fork, written,
               creation_outcome, write_refused, journaled, journal_refused, go_to_sleep, expire_session,
               session_disowned, resend_undurable, replay_writes, tell_undurable, close_session, forget_user,
               session_tick>
      what;
};

/// To whom a session reports: the directory.
using session_owner = caf::typed_actor<caf::reacts_to<session_finished>, caf::reacts_to<session_ended>,
                                       answers<get_session>, answers<make_fork>, answers<run_erasure>>;

/// To whom a writer reports that it is ready, or that it is no more: the directory.
using writer_owner = caf::typed_actor<caf::reacts_to<writer_ready>, caf::reacts_to<writer_fenced>>;

} // namespace colloquy::actors

CAF_ALLOW_UNSAFE_MESSAGE_TYPE(colloquy::actors::resent)
CAF_ALLOW_UNSAFE_MESSAGE_TYPE(colloquy::result<colloquy::actors::replayed>)
CAF_ALLOW_UNSAFE_MESSAGE_TYPE(colloquy::actors::writer_ready)
CAF_ALLOW_UNSAFE_MESSAGE_TYPE(colloquy::actors::writer_fenced)
