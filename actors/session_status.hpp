// The data of the status events that a session writes by itself, and sentences that are said in several places.
#pragma once

#include "db/batch.hpp"
#include "messages/error.hpp"
#include "messages/log_requests.hpp"

#include <string>

namespace colloquy::actors {

/// What a turn's start or end adds of its own, for the budget.
inline constexpr std::size_t status_event_bytes = limits::event_overhead_bytes + 1024;

/// {"turn":{"id":"…","number":1,"status":"completed"}}, with a "reason" if there is one.
std::string turn_status_json(const turn_record& turn, const std::string& reason);

/// {"status":"paused"}
std::string session_status_json(session_status status);

error late_append(const appended& reached);

} // namespace colloquy::actors
