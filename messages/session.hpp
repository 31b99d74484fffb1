// A session: one conversation and its life.
#pragma once

#include "messages/clock.hpp"
#include "messages/event.hpp"
#include "messages/ids.hpp"

#include <cstdint>
#include <map>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

namespace colloquy {

enum class session_status : std::uint8_t { active, paused, completed, expired };

std::string_view to_string(session_status status) noexcept;
std::optional<session_status> parse_session_status(std::string_view text) noexcept;

/// Of a log; both ends belong to it.
struct event_range {
  event_offset first = 0;
  event_offset last = 0;
  bool operator==(const event_range&) const = default;
  bool has(event_offset offset) const noexcept { return offset >= first && offset <= last; }
};

/// Whether the agent answers by itself, or a person does in its place. Told and kept, nothing here depends on it.
enum class session_mode : std::uint8_t { automatic, manual };

std::string_view to_string(session_mode mode) noexcept; ///< "auto", "manual"
std::optional<session_mode> parse_session_mode(std::string_view text) noexcept;

/// By client: how far each has read, as it says itself.
using consumption_map = std::map<std::string, std::int64_t>;

/// Whose session: every request names both, and one tenant's id never finds another's session.
struct session_key {
  tenant_id tenant;
  session_id id;
  bool operator==(const session_key&) const = default;
};

struct session_record {
  session_key key;
  log_id log;
  std::string user_id;
  std::optional<std::string> agent_id{};
  std::optional<std::string> external_id{}; ///< unique within the tenant
  std::optional<std::string> title{};
  session_status status = session_status::active;
  timestamp created_at{};
  timestamp updated_at{};
  std::optional<timestamp> expires_at{};            ///< none: never
  std::optional<std::chrono::seconds> expires_in{}; ///< as it was last given: what a use extends it by; none: never
  std::int64_t turn_count = 0;
  std::int64_t total_tokens = 0;
  event_offset next_offset = 0;              ///< of the next event to be accepted
  event_offset durable_offset = -1;          ///< the last durable event; every one below it is durable too
  std::int64_t version = 1;                  ///< counts the changes asked for by update_session, from 1
  std::optional<session_id> parent{};        ///< the session that this one was forked from
  std::optional<event_offset> fork_offset{}; ///< the last offset shared with it
  std::string metadata = "{}";               ///< a JSON object
  std::vector<std::string> labels{};         ///< a set, in order of their bytes
  session_mode mode = session_mode::automatic;
  consumption_map consumption_offsets{};
};

enum class turn_status : std::uint8_t { queued, running, completed, failed, cancelled, interrupted, rolled_back, lost };

std::string_view to_string(turn_status status) noexcept;
std::optional<turn_status> parse_turn_status(std::string_view text) noexcept;

struct token_usage {
  std::int64_t input_tokens = 0;
  std::int64_t output_tokens = 0;
};

/// A turn: one run of the agent in a session; at most one runs.
struct turn_record {
  turn_id id;
  std::int64_t number = 0; ///< counts a session's turns from 1
  turn_status status = turn_status::running;
  std::string trace_id{}; ///< "" if none
  timestamp started_at{};
  std::optional<timestamp> ended_at{};
  std::optional<timestamp> lease_expires_at{}; ///< of a running turn: it is lost then unless renewed
  std::optional<token_usage> usage{};
};

} // namespace colloquy

template <>
struct std::hash<colloquy::session_key> {
  std::size_t operator()(const colloquy::session_key& key) const noexcept {
    return std::hash<colloquy::session_id>{}(key.id);
  }
};
