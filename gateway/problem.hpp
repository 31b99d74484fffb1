// What went wrong, as HTTP says it: RFC 9457.
#pragma once

#include "gateway/http_message.hpp"
#include "gateway/values.hpp"
#include "messages/error.hpp"

#include <string_view>
#include <vector>

namespace colloquy::gateway {

unsigned status_of(error_code code) noexcept;
std::string_view title_of(unsigned status) noexcept;

/// Of a fault of ours and of the database only that, and nothing of what it said: that is logged, under the request's
/// id.
http_reply make_problem(const error& why, const std::string& request_id);
/// 400, or 413 if something is over a limit of size, with every mistake.
http_reply make_problem(const call_reading& wrong, const std::string& request_id);

} // namespace colloquy::gateway
