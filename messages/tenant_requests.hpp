// What may be asked about tenants, their keys and their audit log. Plain values, as in session_requests.hpp.
//
// Errors that each may end with: database_unavailable, overloaded, deadline_exceeded, internal. Whatever changes
// something is answered when it is durable, its entry in the audit log with it.
#pragma once

#include "messages/error.hpp"
#include "messages/limits.hpp"
#include "messages/session_requests.hpp"
#include "messages/tenant.hpp"

#include <chrono>
#include <optional>
#include <string>
#include <vector>

namespace colloquy {

// ---- tenants

/// Errors: conflict (there is one of that id), invalid_request (title, quotas), idempotency_mismatch. A repeat under
/// the same key and fingerprint is answered with the tenant.
struct create_tenant {
  using reply = tenant_record;
  tenant_id id;
  std::string title{}; ///< at most limits::title_chars_max
  tenant_quotas quotas{};
  std::optional<idempotency> repeat{};
  audit_actor by{};
};

/// Errors: not_found.
struct get_tenant {
  using reply = tenant_record;
  tenant_id id;
};

/// By id.
struct tenant_page {
  std::vector<tenant_record> tenants;
  std::string next_cursor{}; ///< "" if these are the last
};
struct list_tenants {
  using reply = tenant_page;
  std::size_t limit = limits::page_default;
  std::string cursor{}; ///< what a reply gave; anything else is invalid_request
};

/// All of them at once: what is not set is unbounded from now on. Errors: not_found, invalid_request.
struct set_quotas {
  using reply = tenant_record;
  tenant_id id;
  tenant_quotas quotas{};
  audit_actor by{};
};

// ---- keys

/// A key's secret never comes here: only its prefix and its SHA-256, 32 bytes.
struct key_digest {
  std::string prefix; ///< unique among all tenants
  std::string sha256;
};

/// Errors: not_found (the tenant), invalid_request, conflict (the prefix is taken: make another).
struct create_key {
  using reply = api_key_record;
  tenant_id tenant;
  std::string name{}; ///< at most limits::name_chars_max
  key_scopes scopes{};
  std::optional<std::string> user_id{};
  std::optional<std::chrono::seconds> expires_in{}; ///< none: never
  key_digest digest{};
  audit_actor by{};
};

/// A new key that may do the same; the old one is valid for `grace` longer, at most until its own end.
/// Errors: not_found (also: revoked or expired).
struct rotate_key {
  using reply = api_key_record;
  tenant_id tenant;
  key_id id;
  std::chrono::seconds grace{0}; ///< at most 7 days
  key_digest digest{};
  audit_actor by{};
};

/// From now on it is not valid; its record stays. Again it is answered the same. Errors: not_found.
struct revoke_key {
  using reply = api_key_record;
  tenant_id tenant;
  key_id id;
  audit_actor by{};
};

/// Newest first.
struct key_page {
  std::vector<api_key_record> keys;
  std::string next_cursor{};
};
struct list_keys {
  using reply = key_page;
  tenant_id tenant;
  std::size_t limit = limits::page_default;
  std::string cursor{};
};

/// The key of that prefix, valid or not, with its digest. `tenant` is its tenant as it is. None if there is none.
struct known_key {
  api_key_record key;
  std::string sha256;
};
struct found_key {
  std::optional<known_key> key{};
};
struct find_key {
  using reply = found_key;
  std::string prefix;
};

/// From who has let a key in: for last_used_at, written now and then. Not answered.
struct note_key_use {
  tenant_id tenant;
  key_id id;
  timestamp at{};
};

/// Of the whole service. The admin key makes tenants and their first keys. With `sha256` it is kept if none is yet.
struct service_keys {
  std::string admin_sha256{};   ///< "" if there is none
  bool has_tenant_keys = false; ///< one was ever made, even if it is revoked by now
  bool kept = false;            ///< the one given is the one from now on
};
struct ensure_admin_key {
  using reply = service_keys;
  std::string sha256{}; ///< "": only look
};

// ---- audit

/// `wait`: answered when durable; else when taken, and written within a second or so. Errors: overloaded.
struct audit_written {};
struct write_audit {
  using reply = audit_written;
  audit_entry entry; ///< its id and time are given here
  bool wait = false;
};

/// Newest first.
struct audit_page {
  std::vector<audit_entry> entries;
  std::string next_cursor{};
};
struct read_audit {
  using reply = audit_page;
  tenant_id tenant;
  std::optional<timestamp> from{};
  std::optional<timestamp> to{};
  std::optional<std::string> actor{};
  std::optional<std::string> action{};
  std::optional<std::string> target{};
  std::size_t limit = limits::page_default;
  std::string cursor{};
};

} // namespace colloquy
