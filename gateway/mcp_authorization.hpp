// Who may call /mcp, beside what holds for every call: from which page and under which name, with a token that was
// given for it; and where a client that has none is sent (RFC 9728).
#pragma once

#include "config/settings.hpp"
#include "gateway/http_message.hpp"
#include "gateway/principal.hpp"
#include "messages/error.hpp"

#include <optional>
#include <string>
#include <string_view>

namespace colloquy::gateway {

/// Names that lead to this machine wherever they are looked up. With a port or without.
bool is_loopback_name(std::string_view host);

} // namespace colloquy::gateway

namespace colloquy::gateway::mcp {

/// The header Host must be a name of this machine or of mcp_allowed_hosts; Origin, if there is one, a page of this
/// machine, of mcp_allowed_origins or of cors_origins. Whatever key comes with it: a page must not be able to use what
/// leads to this machine under a name of its own.
std::optional<error> why_not_from_there(const http_request& request, const config::settings& settings);

/// A key is; a token only if its aud names this resource, or jwt_audience is set, which has been checked then.
bool is_for_here(const principal& who, const http_request& request, const config::settings& settings);

/// The address of the resource, as clients know it: mcp_resource_url, or, unless it is set, the name of this machine
/// that was asked for with the port that the request came to, whatever port it names.
std::string resource_url(const http_request& request, const config::settings& settings);
/// WWW-Authenticate of a 401 or 403; `more` is put into it.
std::string challenge(const http_request& request, const config::settings& settings, std::string_view more = {});

} // namespace colloquy::gateway::mcp
