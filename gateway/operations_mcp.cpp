// Calls of the Model Context Protocol over Streamable HTTP.
#include "gateway/operation_fields.hpp"

namespace colloquy::gateway {
namespace {

using enum error_code;

constexpr error_code posting[] = {not_found};
constexpr error_code following[] = {not_found, method_not_allowed, conflict};
constexpr error_code ending[] = {not_found, method_not_allowed};

const operation all[] = {
    {.id = operation_id::post_mcp,
     .name = "postMcp",
     .method = "POST",
     .path = "/mcp",
     .tag = "MCP",
     .summary = "Send a message of the Model Context Protocol",
     .about = "Of 2026-07-28, where each request says what it needs, or of the versions before, from `initialize` on. "
              "202 for what needs no answer. Pages may call from mcp_allowed_origins, and it is asked for under the "
              "names of mcp_allowed_hosts; else 403.",
     .needs = access::member,
     .takes = body_kind::rpc,
     .success = 200,
     .other_success = 202,
     .errors = posting,
     .traits = {.may_wait = true, .is_mcp = true}},
    {.id = operation_id::get_mcp,
     .name = "getMcp",
     .method = "GET",
     .path = "/mcp",
     .tag = "MCP",
     .summary = "Follow what a session of the older versions is told",
     .about =
         "Server-sent events; one such stream a session. 2026-07-28 has subscriptions/listen instead. Once it broke "
         "off, a client that neither opens it again nor asks for anything within 0.7 s (3 s before 2025-11-25) is "
         "taken for dead, and its database sessions are closed.",
     .needs = access::member,
     .errors = following,
     .traits = {.is_mcp = true}},
    {.id = operation_id::delete_mcp,
     .name = "deleteMcp",
     .method = "DELETE",
     .path = "/mcp",
     .tag = "MCP",
     .summary = "End a session of the older versions",
     .about = "What was opened in it ends, too: subscriptions, and database sessions with their transactions.",
     .needs = access::member,
     .success = 204,
     .errors = ending,
     .traits = {.is_mcp = true}},
    {.id = operation_id::get_resource_metadata,
     .name = "getResourceMetadata",
     .method = "GET",
     .path = "/.well-known/oauth-protected-resource",
     .tag = "MCP",
     .summary = "Where tokens for it are had (RFC 9728)",
     .about = "",
     .needs = access::open,
     .reply = &shapes::resource_metadata,
     .traits = {.is_exempt = true}},
    {.id = operation_id::get_mcp_metadata,
     .name = "getMcpMetadata",
     .method = "GET",
     .path = "/.well-known/oauth-protected-resource/mcp",
     .tag = "MCP",
     .summary = "The same, under the path of the resource",
     .about = "",
     .needs = access::open,
     .reply = &shapes::resource_metadata,
     .traits = {.is_exempt = true}},
};

} // namespace

std::span<const operation> mcp_operations() {
  return all;
}

} // namespace colloquy::gateway
