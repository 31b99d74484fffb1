// What frameworks keep of a session beside its log: labels, and how far clients have read it. Checked and changed.
#pragma once

#include "messages/error.hpp"
#include "messages/session_requests.hpp"

#include <cstddef>
#include <optional>
#include <string>
#include <vector>

namespace colloquy::actors {

/// In order, each once.
std::vector<std::string> as_set(std::vector<std::string> labels);

/// What the request leaves them as.
std::vector<std::string> labels_after(const update_session& request, const session_record& record);
consumption_map consumption_after(const update_session& request, const session_record& record);

std::optional<error> check_labels(const std::vector<std::string>& labels);
std::optional<error> check_consumption(const consumption_map& offsets);

/// What the row reserves of the budget for them.
std::size_t label_bytes(const std::vector<std::string>& labels, const consumption_map& offsets) noexcept;

} // namespace colloquy::actors
