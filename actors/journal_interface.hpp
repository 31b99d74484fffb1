// What is said to the journal, and what it answers. See journal.hpp for the protocol. Its news for a session, journaled
// and journal_refused, are in session_interface.hpp.
#pragma once

#include "actors/session_interface.hpp"
#include "db/batch.hpp"
#include "db/journal_file.hpp"
#include "messages/clock.hpp"
#include "messages/error.hpp"
#include "messages/ids.hpp"
#include "messages/session.hpp"

#include <caf/allowed_unsafe_message_type.hpp>
#include <caf/replies_to.hpp>
#include <caf/typed_actor.hpp>

#include <cstddef>
#include <cstdint>
#include <optional>
#include <string>
#include <vector>

namespace colloquy::actors {

/// Session to journal: put this on disk, after everything that I sent before.
struct journal_write {
  db::session_write_ptr write;
  write_listener listener;
};

/// Session to journal: PostgreSQL has my writes up to this one; their records are not needed any more. Meant are the
/// writes of the session actor that wrote last.
struct journal_durable {
  session_key session;
  std::uint64_t through_number = 0;
};

/// Whose records come from now on: noted with each, and in the file, for who replays them.
struct journal_process {
  db::journal_origin origin;
};

/// Which processes have written here: what one of them has left is replayed only if no other has owned its sessions.
struct journal_users {
  std::vector<process_id> processes;
};
struct get_journal_users {
  using reply = journal_users;
};

/// Forget this session: answered when no byte of it is left in the journal's files, the quarantine's included.
struct journal_erased {
  std::size_t records = 0;
  std::size_t quarantined = 0;
};
struct journal_erase {
  using reply = journal_erased;
  session_key session;
};

/// What the last process left, page by page: by session, and within one in the order it was written (of one session
/// actor: by number; an actor that was woken again counts from 1 again). What this process writes is never among it.
struct journal_record {
  db::journal_place place;
  db::journal_origin origin;
  timestamp written_at{};
  db::session_write_ptr write; ///< never null; its `keeps` is
};
struct journal_page {
  std::vector<journal_record> records;
  std::optional<db::journal_place> next{}; ///< `after` of the next page; none: this was the last
};
struct read_journal {
  using reply = journal_page;
  std::optional<db::journal_place> after{};
  std::size_t bytes_max = std::size_t{4} << 20; ///< of records; one at least is in a page if there is one
};

/// These records are not needed any more: what they hold is durable. Only for records that read_journal gave; others
/// are left alone.
struct journal_forgotten {
  std::size_t records = 0;
};
struct journal_forget {
  using reply = journal_forgotten;
  std::vector<db::journal_place> records;
};

/// These records cannot be replayed: they are kept apart, with the reason and the time, until somebody has looked at
/// them, or their session is erased. Only for records that read_journal gave.
struct quarantined {
  std::size_t records = 0;
};
struct quarantine {
  using reply = quarantined;
  std::vector<db::journal_place> records;
  std::string reason; ///< one sentence, without anybody's content
};

struct journal_status {
  std::size_t records = 0; ///< on disk, not durable as far as is known; what the last process left included
  std::size_t bytes = 0;   ///< of these, and of those that are about to be written
  std::size_t bytes_max = 0;
  std::size_t waiting = 0;           ///< refused for now, and written as soon as that is possible
  std::optional<timestamp> oldest{}; ///< when the oldest record was written
  std::size_t quarantined = 0;       ///< records
  std::size_t erasures_waiting = 0;  ///< that failed, and are tried again
  std::string problem{};             ///< why nothing can be written now; "" if it can
  std::string last_error{};          ///< "" if there was none since the start
  std::optional<timestamp> last_error_at{};
};
struct get_journal_status {
  using reply = journal_status;
};

/// Answered when everything that reached the journal before is on disk or refused.
struct journal_flushed {};
struct flush_journal {
  using reply = journal_flushed;
};

} // namespace colloquy::actors

CAF_ALLOW_UNSAFE_MESSAGE_TYPE(colloquy::actors::journal_write)
CAF_ALLOW_UNSAFE_MESSAGE_TYPE(colloquy::actors::journal_durable)
CAF_ALLOW_UNSAFE_MESSAGE_TYPE(colloquy::actors::journal_process)
CAF_ALLOW_UNSAFE_MESSAGE_TYPE(colloquy::actors::get_journal_users)
CAF_ALLOW_UNSAFE_MESSAGE_TYPE(colloquy::actors::journal_erase)
CAF_ALLOW_UNSAFE_MESSAGE_TYPE(colloquy::actors::read_journal)
CAF_ALLOW_UNSAFE_MESSAGE_TYPE(colloquy::actors::journal_forget)
CAF_ALLOW_UNSAFE_MESSAGE_TYPE(colloquy::actors::quarantine)
CAF_ALLOW_UNSAFE_MESSAGE_TYPE(colloquy::actors::get_journal_status)
CAF_ALLOW_UNSAFE_MESSAGE_TYPE(colloquy::actors::flush_journal)
CAF_ALLOW_UNSAFE_MESSAGE_TYPE(colloquy::result<colloquy::actors::journal_users>)
CAF_ALLOW_UNSAFE_MESSAGE_TYPE(colloquy::result<colloquy::actors::journal_erased>)
CAF_ALLOW_UNSAFE_MESSAGE_TYPE(colloquy::result<colloquy::actors::journal_page>)
CAF_ALLOW_UNSAFE_MESSAGE_TYPE(colloquy::result<colloquy::actors::journal_forgotten>)
CAF_ALLOW_UNSAFE_MESSAGE_TYPE(colloquy::result<colloquy::actors::quarantined>)
CAF_ALLOW_UNSAFE_MESSAGE_TYPE(colloquy::result<colloquy::actors::journal_status>)
CAF_ALLOW_UNSAFE_MESSAGE_TYPE(colloquy::result<colloquy::actors::journal_flushed>)

namespace colloquy::actors {

using journal_actor =
    caf::typed_actor<caf::reacts_to<journal_write>, caf::reacts_to<journal_durable>, caf::reacts_to<journal_process>,
                     answers<get_journal_users>, answers<journal_erase>, answers<read_journal>, answers<journal_forget>,
                     answers<quarantine>, answers<get_journal_status>, answers<flush_journal>>;

} // namespace colloquy::actors
