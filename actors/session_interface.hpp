// What the directory, the writer and a session actor say to each other. Callers never see these: they speak to the
// directory (messages/directory_interface.hpp).
#pragma once

#include "actors/pool_interface.hpp"
#include "db/batch.hpp"
#include "messages/directory_interface.hpp"

#include <caf/typed_actor.hpp>

#include <cstdint>
#include <optional>

namespace colloquy::actors {

/// Writer to session: everything up to this write of yours is durable.
struct written {
  std::uint64_t through_number = 0;
};

/// Writer to session: the row that this write was to make was not made, its external id being taken. `certain` is false
/// if the batch's answer was lost: then the row may have been made after all, and the session looks.
struct creation_outcome {
  std::uint64_t number = 0;
  bool certain = true;
};

/// Writer to session: this write and all after it will not be made durable.
struct write_refused {
  std::uint64_t number = 0;
  error why;
};

/// Directory to session: end, if nothing keeps you awake.
struct go_to_sleep {};
struct sleep_answer {
  bool asleep = false;
};

/// Session to directory: nothing can come of me any more; tell me to sleep.
struct session_finished {
  session_key session;
};

} // namespace colloquy::actors

CAF_ALLOW_UNSAFE_MESSAGE_TYPE(colloquy::actors::session_finished)
CAF_ALLOW_UNSAFE_MESSAGE_TYPE(colloquy::actors::written)
CAF_ALLOW_UNSAFE_MESSAGE_TYPE(colloquy::actors::creation_outcome)
CAF_ALLOW_UNSAFE_MESSAGE_TYPE(colloquy::actors::write_refused)
CAF_ALLOW_UNSAFE_MESSAGE_TYPE(colloquy::actors::go_to_sleep)
CAF_ALLOW_UNSAFE_MESSAGE_TYPE(colloquy::actors::sleep_answer)

namespace colloquy::actors {

/// How a writer answers to a session.
using write_listener =
    caf::typed_actor<caf::reacts_to<written>, caf::reacts_to<creation_outcome>, caf::reacts_to<write_refused>>;

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

/// Session to writer: I know that my writes were refused and have stopped sending.
struct forget_refusal {
  caf::actor_id listener = 0;
};

} // namespace colloquy::actors

CAF_ALLOW_UNSAFE_MESSAGE_TYPE(colloquy::actors::persist)
CAF_ALLOW_UNSAFE_MESSAGE_TYPE(colloquy::actors::barrier)
CAF_ALLOW_UNSAFE_MESSAGE_TYPE(colloquy::actors::forget_refusal)
CAF_ALLOW_UNSAFE_MESSAGE_TYPE(colloquy::result<colloquy::actors::barrier_passed>)

namespace colloquy::actors {

using writer_actor = caf::typed_actor<caf::reacts_to<persist>, caf::replies_to<barrier>::with<result<barrier_passed>>,
                                      caf::reacts_to<forget_refusal>>;

/// Directory to session: this is the writer from now on; send it again what is not durable. Answered when that is sent.
struct resend_undurable {
  writer_actor writer;
};
struct resent {};

/// Writer to directory: what the last writer had in flight is settled; sessions may send again.
struct writer_ready {
  writer_actor writer;
};

} // namespace colloquy::actors

CAF_ALLOW_UNSAFE_MESSAGE_TYPE(colloquy::actors::resend_undurable)
CAF_ALLOW_UNSAFE_MESSAGE_TYPE(colloquy::actors::resent)
CAF_ALLOW_UNSAFE_MESSAGE_TYPE(colloquy::actors::writer_ready)

namespace colloquy::actors {

using session_actor = write_listener::extend<
    caf::replies_to<create_session>::with<result<session_record>>,
    caf::replies_to<get_session>::with<result<session_record>>, caf::replies_to<append_events>::with<result<appended>>,
    caf::replies_to<start_turn>::with<result<granted_turn>>, caf::replies_to<end_turn>::with<result<turn_record>>,
    caf::replies_to<go_to_sleep>::with<sleep_answer>, caf::replies_to<resend_undurable>::with<resent>>;

/// To whom a session reports its end: the directory.
using session_owner = caf::typed_actor<caf::reacts_to<session_finished>>;

/// To whom a writer reports that it is ready: the directory.
using writer_owner = caf::typed_actor<caf::reacts_to<writer_ready>>;

} // namespace colloquy::actors
