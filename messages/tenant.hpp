// A tenant: a customer of the host. What it may have, who may act for it, and what was done in its name.
#pragma once

#include "messages/clock.hpp"
#include "messages/ids.hpp"

#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

namespace colloquy {

/// What a tenant may have at most; none: no bound of its own. Each is 1 or more (0 would be a tenant that is shut out).
struct tenant_quotas {
  std::optional<std::int64_t> requests_per_s{};
  std::optional<std::int64_t> request_burst{}; ///< at once after a rest; none: as many as requests_per_s
  std::optional<std::int64_t> sessions_max{};
  std::optional<std::int64_t> resident_sessions_max{}; ///< in one process
  std::optional<std::int64_t> stored_bytes_max{};      ///< of events' data
  std::optional<std::int64_t> running_turns_max{};     ///< in one process
  std::optional<std::int64_t> subscriptions_max{};     ///< in one process: streams and long polls
  std::optional<std::int64_t> message_bytes_max{};
  std::optional<std::int64_t> connections_max{}; ///< in one process
  bool operator==(const tenant_quotas&) const = default;
};

/// `sessions` and `stored_bytes` are counted with a second's delay; a crash may forget that second.
struct tenant_record {
  tenant_id id;
  std::string title; ///< for people
  timestamp created_at{};
  tenant_quotas quotas{};
  std::int64_t sessions = 0;     ///< those that are not erased, expired ones too
  std::int64_t stored_bytes = 0; ///< of events' data
};

/// What a key may do: see, change, and govern the tenant (its keys, its audit log, its users).
struct key_scopes {
  bool read = false;
  bool write = false;
  bool admin = false;
  bool operator==(const key_scopes&) const = default;
};

/// An API key, without its secret.
struct api_key_record {
  key_id id;
  tenant_id tenant;
  std::string prefix; ///< the part of the key that it is found by, and known to people by
  std::string name;   ///< for people
  key_scopes scopes{};
  std::optional<std::string> user_id{}; ///< if set, it sees only what this user sees
  timestamp created_at{};
  std::optional<timestamp> expires_at{};   ///< none: never
  std::optional<timestamp> last_used_at{}; ///< with a minute's delay
  std::optional<timestamp> revoked_at{};

  bool is_valid(timestamp now) const noexcept { return !revoked_at && (!expires_at || *expires_at > now); }
};

/// Who acts, for the audit log.
struct audit_actor {
  std::string name;       ///< "key:PREFIX", "jwt:SUBJECT", "admin", "local" (no key is needed), "service"
  std::string request_id; ///< of the HTTP request
};

/// Who did what to which thing when; never what is in the thing.
struct audit_entry {
  audit_id id; ///< rises with time
  tenant_id tenant;
  timestamp at{};
  audit_actor by{};
  std::string action;      ///< "session.create", "key.revoke", ...
  std::string target_kind; ///< "session", "user", "key", "tenant", "pool"
  std::string target;      ///< its id
};

} // namespace colloquy
