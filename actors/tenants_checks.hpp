// What is refused of a request about tenants before the database is asked.
#pragma once

#include "messages/error.hpp"
#include "messages/tenant_requests.hpp"

#include <chrono>
#include <cstddef>
#include <optional>

namespace colloquy::actors {

/// Each text of an audit entry: parts of indexes, whose rows end at some 2,700 bytes. A name of 255 characters fits,
/// and what stands before it ("jwt:").
inline constexpr std::size_t audit_field_bytes_max = 1100;

inline constexpr std::size_t digest_bytes = 32; ///< of SHA-256
inline constexpr std::chrono::days rotation_grace_max{7};

std::optional<error> check_tenant(const create_tenant& request);
std::optional<error> check_quotas(const set_quotas& request);
std::optional<error> check_key(const create_key& request);
std::optional<error> check_rotation(const rotate_key& request);
std::optional<error> check_actor(const audit_actor& by);
std::optional<error> check_entry(const audit_entry& entry);
std::optional<error> check_filters(const read_audit& request);
std::optional<error> check_admin_key(const ensure_admin_key& request);
/// 1 to limits::page_events_max.
std::optional<error> check_limit(std::size_t limit);
/// As a key's prefix can be; any other is nobody's.
bool is_possible_prefix(std::string_view prefix);

} // namespace colloquy::actors
