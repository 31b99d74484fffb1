// What the ownership actor says, and what is said to it. See ownership.hpp for the protocol.
#pragma once

#include "actors/session_interface.hpp"
#include "db/ownership_queries.hpp"
#include "messages/error.hpp"
#include "messages/ids.hpp"

#include <caf/allowed_unsafe_message_type.hpp>
#include <caf/replies_to.hpp>
#include <caf/typed_actor.hpp>

#include <chrono>
#include <cstddef>
#include <optional>
#include <string>
#include <vector>

namespace colloquy::actors {

/// This process owns these shards from now on, and no others. The first one of a process id comes as soon as it is
/// known what that owns, even if that is nothing; the next ones with each change.
struct shards_owned {
  process_id process;
  db::shard_set owned;
  db::shard_set newly; ///< of `owned`: were not in the message before
  /// By shard, where newly owned: who had it before. None: nobody, or the answer to the taking was lost. Empty, or
  /// db::shard_count of them.
  std::vector<std::optional<process_id>> previous{};
};

/// Another process has taken over from this one: nothing of that process id is owned any more, and what it has not made
/// durable never will be. Another process id follows, by shards_owned.
struct ownership_lost {
  process_id process;
};

struct get_ownership_status {};
struct ownership_status {
  process_id process;
  bool is_registered = false;
  std::size_t shards_owned = 0;                           ///< of db::shard_count
  std::optional<std::chrono::milliseconds> renewed_ago{}; ///< since the last renewal was asked for that succeeded
  std::optional<std::chrono::milliseconds> failing_for{}; ///< since the first of the tries was begun that fail
  std::string problem{};                                  ///< of the last try, one sentence; "" if it succeeded
};

/// Gives up all shards, for good: nothing is renewed or taken after this. Only when everything accepted is durable.
/// Answered when it is done. Errors: deadline_exceeded (it goes on trying; the shards are free at the latest
/// db::ownership_lasts after the last renewal), internal (the actor ended).
struct give_up {
  std::optional<pool_time> deadline{}; ///< none: ownership_options::request_timeout from now
};
struct given_up {};

} // namespace colloquy::actors

CAF_ALLOW_UNSAFE_MESSAGE_TYPE(colloquy::actors::shards_owned)
CAF_ALLOW_UNSAFE_MESSAGE_TYPE(colloquy::actors::ownership_lost)
CAF_ALLOW_UNSAFE_MESSAGE_TYPE(colloquy::actors::get_ownership_status)
CAF_ALLOW_UNSAFE_MESSAGE_TYPE(colloquy::result<colloquy::actors::ownership_status>)
CAF_ALLOW_UNSAFE_MESSAGE_TYPE(colloquy::actors::give_up)
CAF_ALLOW_UNSAFE_MESSAGE_TYPE(colloquy::result<colloquy::actors::given_up>)

namespace colloquy::actors {

/// Who is told: the directory, which passes it on to the sweeper.
using ownership_listener = caf::typed_actor<caf::reacts_to<shards_owned>, caf::reacts_to<ownership_lost>>;

using ownership_actor = caf::typed_actor<caf::reacts_to<writer_fenced>,
                                         caf::replies_to<get_ownership_status>::with<result<ownership_status>>,
                                         caf::replies_to<give_up>::with<result<given_up>>>;

} // namespace colloquy::actors
