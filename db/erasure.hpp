// Erasing: what is left of a session after its last write has hidden it. In steps, each a transaction of bounded size,
// so that neither a batch nor a lock lasts long; what is left to do is kept in the table `erasures` until it is done.
// As colloquy_system.
#pragma once

#include "db/statement.hpp"
#include "messages/error.hpp"
#include "messages/session.hpp"
#include "messages/session_requests.hpp"

#include <vector>

namespace colloquy::db {

inline constexpr std::int64_t erasure_step_rows = 5000;

/// Takes away up to erasure_step_rows rows. To be repeated until is_done. A log goes with its last fork: what another
/// session still shows stays, and goes when that is erased.
struct erasure_progress {
  bool is_done = false;
  erased so_far; ///< of this session, all steps together
};
unit erase_step(const session_key& session);
/// not_found if there is nothing to erase of that session (any more).
result<erasure_progress> decode_erasure(const unit_outcome& outcome);

/// Erasures that were begun and are not done, oldest first.
unit read_erasures(std::size_t limit);
result<std::vector<session_key>> decode_erasures(const unit_outcome& outcome);

/// What of a user is in no session's own rows: the user's part in the sessions of others, and the name on what the user
/// wrote there. In steps too: the result tells how many participants rows and events it changed; 0 and 0: done.
unit erase_user_step(const tenant_id& tenant, const std::string& user_id);
struct user_step {
  std::int64_t participants = 0;
  std::int64_t events = 0;
};
result<user_step> decode_user_step(const unit_outcome& outcome);

} // namespace colloquy::db
