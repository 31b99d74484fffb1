// What may be asked about sessions: their life, who shares them, and what there is of them. Plain values: these cross
// actors, and later the wire. `reply` is what a request is answered with, or an error.
//
// Errors that every request about one session may end with: not_found (also: another tenant's, an erased one),
// not_owner (another process owns it: try again), overloaded, database_unavailable, deadline_exceeded, internal.
#pragma once

#include "messages/error.hpp"
#include "messages/limits.hpp"
#include "messages/session.hpp"

#include <chrono>
#include <cstdint>
#include <map>
#include <optional>
#include <string>
#include <vector>

namespace colloquy {
namespace limits {

/// Labels of one session, and clients that say how far they have read it.
inline constexpr std::size_t session_labels_max = 100;
inline constexpr std::size_t session_consumers_max = 100;
inline constexpr std::int64_t consumption_offset_max = std::int64_t{1} << 53; // what every JSON reader holds exactly

/// Ranges of events in one deletion.
inline constexpr std::size_t deleted_ranges_max = 1000;

} // namespace limits

/// By which a repeated request is recognized: the first answer is given again, for limits::idempotency_kept at least,
/// also after a crash and by another process. A key belongs to a tenant and a kind of request on one session.
struct idempotency {
  std::string key;         ///< 1 to limits::name_chars_max characters
  std::string fingerprint; ///< a digest of the request; under the same key another one is idempotency_mismatch
  /// Tells requests of one kind apart whose keys have nothing to do with each other, such as those to different paths,
  /// or of different users: at most limits::key_scope_bytes_max of valid UTF-8 without NUL.
  std::string scope{};
};

/// Makes a session; answered when its row is durable. Errors: invalid_request; conflict if the tenant has a session of
/// that external_id; idempotency_mismatch.
struct create_session {
  using reply = session_record;
  tenant_id tenant;
  std::string user_id;
  std::optional<std::string> agent_id{};
  std::optional<std::string> external_id{};
  std::optional<std::string> title{};
  std::string metadata = "{}"; ///< a JSON object, checked by the session
  std::optional<std::chrono::seconds> expires_in = limits::expires_in_default; ///< none: never
  std::optional<idempotency> repeat{};
  std::vector<std::string> labels{}; ///< at most limits::session_labels_max; the same twice counts once
  session_mode mode = session_mode::automatic;
  consumption_map consumption_offsets{}; ///< at most limits::session_consumers_max
};

/// The session of that external_id, made now if there is none: whoever races, all get the same one. The rest of the
/// request is used only if it is made. Errors: invalid_request.
struct opened_session {
  session_record session;
  bool was_made = false;
};
struct open_session {
  using reply = opened_session;
  create_session wanted;                ///< with an external_id
  std::optional<std::string> as_user{}; ///< another user's session of that name is a conflict
};

/// The session as it is now, counting what is accepted. An expired one is session_expired.
struct get_session {
  using reply = session_record;
  session_key session;
  std::optional<std::string> as_user{}; ///< if set, only its owner and participants see it
  bool even_expired = false;            ///< for an export
};

/// Changes what is set; answered when durable. A change of status writes a status event; leaving `active` cancels a
/// running turn and refuses those who wait for one. Errors: invalid_request, forbidden, precondition_failed,
/// session_expired.
struct update_session {
  using reply = session_record;
  session_key session;
  std::optional<std::string> title{}; ///< "" takes it away
  std::optional<std::string> metadata{};
  std::optional<session_status> status{};                          ///< active, paused or completed
  std::optional<std::optional<std::chrono::seconds>> expires_in{}; ///< from now; none inside: never
  std::optional<std::int64_t> expected_version{};                  ///< else precondition_failed
  std::optional<std::string> as_user{};
  std::optional<std::vector<std::string>> labels{}; ///< instead of those that were there
  std::vector<std::string> add_labels{};            ///< to those, or to `labels`
  std::vector<std::string> remove_labels{};         ///< then; one that is not there is none the less
  std::optional<session_mode> mode{};
  /// Of these clients alone; none: it has not read. Others keep theirs.
  std::map<std::string, std::optional<std::int64_t>> consumption_offsets{};
};

/// What an erasure took away, all of it durable and for good. What a fork still shows stays until that goes.
struct erased {
  std::int64_t sessions = 0;
  std::int64_t events = 0;
  std::int64_t turns = 0;
  std::int64_t idempotency_keys = 0;
  std::int64_t participants = 0;
  std::int64_t events_kept_for_forks = 0;
};

/// Hides the session at once, erases it for good, and answers then. If that takes too long it is deadline_exceeded; the
/// erasure goes on, also after a crash. An expired session may be erased.
struct erase_session {
  using reply = erased;
  session_key session;
  std::optional<std::string> as_user{}; ///< if set, only its owner may
};

/// Erases every session of a user, forks included, and takes the user out of the sessions of others; what the user
/// wrote there stays, without the name.
struct erase_user {
  using reply = erased;
  tenant_id tenant;
  std::string user_id;
};

/// A new session of the same user that shares the log up to and including `at_offset`, without copying it; answered
/// when durable. Errors: invalid_request (no such offset), turn_in_progress (it lies in a running turn),
/// session_expired.
struct fork_session {
  using reply = session_record;
  session_key session;
  event_offset at_offset = 0;
  std::optional<std::string> as_user{};
  std::optional<idempotency> repeat{};
};

/// Sessions of a tenant, newest first: filtered, then cut to the page.
struct session_page {
  std::vector<session_record> sessions;
  std::string next_cursor; ///< "" if these are the last
};
struct list_sessions {
  using reply = session_page;
  tenant_id tenant;
  std::optional<std::string> user_id{};
  std::optional<std::string> agent_id{};
  std::optional<session_status> status{}; ///< an overdue session is expired, never active
  std::size_t limit = limits::page_default;
  std::string cursor{};                 ///< what a reply gave; anything else is invalid_request
  std::optional<std::string> as_user{}; ///< if set, only what this user owns or takes part in
  std::vector<std::string> labels{};    ///< only what has all of these
};

/// Who shares a session beside its owner. A reader sees it; a writer also appends and runs turns.
enum class participant_role : std::uint8_t { reader, writer };
std::string_view to_string(participant_role role) noexcept;
std::optional<participant_role> parse_participant_role(std::string_view text) noexcept;

struct participant {
  std::string user_id;
  participant_role role = participant_role::reader;
};
struct participant_list {
  std::vector<participant> participants; ///< by user_id
};

/// Shares a session, or changes the role (set), or ends it (none). Answered when durable.
struct set_participant {
  using reply = participant_list;
  session_key session;
  std::string user_id;
  std::optional<participant_role> role{};
  std::optional<std::string> as_user{}; ///< if set, only the owner may share
};

/// Who shares it, as it is now. Participants may ask, too.
struct list_participants {
  using reply = participant_list;
  session_key session;
  std::optional<std::string> as_user{};
  bool even_expired = false; ///< for an export
};

/// What a tenant's sessions did. Times are half-open: from <= t < to.
struct analytics_bucket {
  timestamp from{};
  std::int64_t messages = 0;
  std::int64_t turns = 0;
};
struct analytics {
  std::int64_t sessions_active = 0; ///< made in the time asked for, by their status now
  std::int64_t sessions_paused = 0;
  std::int64_t sessions_completed = 0;
  std::int64_t sessions_expired = 0;
  std::int64_t turns_completed = 0; ///< ended in that time
  std::int64_t turns_failed = 0;
  std::int64_t turns_otherwise = 0; ///< cancelled, interrupted, rolled back, lost
  std::int64_t input_tokens = 0;
  std::int64_t output_tokens = 0;
  std::chrono::microseconds turn_time_sum{};
  std::chrono::microseconds turn_time_median{};
  std::chrono::microseconds turn_time_max{};
  std::int64_t messages = 0;
  std::vector<analytics_bucket> over_time; ///< hours up to two days, else days; without the empty ones
};
struct get_analytics {
  using reply = analytics;
  tenant_id tenant;
  timestamp from{};
  timestamp to{}; ///< at most 366 days after `from`
  std::optional<std::string> user_id{};
  std::optional<std::string> agent_id{};
  std::optional<std::string> as_user{}; ///< if set, only what this user owns
};

/// What of a tenant this process may have at once, from now on; none: no bound of its own. More is quota_exceeded: a
/// session that would have to wake, a turn that would have to begin. Not answered.
struct limit_sessions {
  tenant_id tenant;
  std::optional<std::int64_t> resident_max{};
  std::optional<std::int64_t> running_turns_max{};
};

} // namespace colloquy
