// Tools about the service and its database.
#include "gateway/edge.hpp"
#include "gateway/json_writer.hpp"
#include "gateway/mcp_hub.hpp"
#include "gateway/mcp_tools.hpp"
#include "gateway/service_version.hpp"
#include "gateway/shapes.hpp"

namespace colloquy::gateway::mcp {
namespace {

constexpr std::string_view states[] = {"ready", "not_ready"};

constexpr field_rule service_fields[] = {
    {.name = "status", .kind = field_kind::word, .is_required = true, .words = states},
    {.name = "reason", .is_required = true, .may_be_null = true, .about = "Why it is not ready."},
    {.name = "name", .is_required = true},
    {.name = "version", .is_required = true},
    {.name = "tenant", .is_required = true},
    {.name = "user",
     .is_required = true,
     .may_be_null = true,
     .about = "Whose data alone is seen; null: the tenant's."},
    {.name = "may_write", .kind = field_kind::boolean, .is_required = true},
    {.name = "undurable_bytes", .kind = field_kind::integer, .about = "Accepted and not yet committed."},
};
constexpr shape_rule service_shape{"McpService", "How the service is.", service_fields};

task<answer> describe_service(request& of, const argument_list&) {
  auto& at = of.service();
  std::string why;
  std::optional<service_health> health;
  if (!at.handles().directory)
    why = "the service is starting";
  if (why.empty()) {
    get_health wanted;
    auto asked = co_await at.ask(wanted);
    if (asked)
      health = std::move(*asked);
    else
      why = asked.failure().message;
  }
  if (health && !health->database_reachable)
    why = "the database cannot be reached";
  std::string json;
  json_writer to(json);
  to.open_object()
      .member("status", why.empty() ? "ready" : "not_ready")
      .member_or_null("reason", why)
      .member("name", of.at.name_for(of))
      .member("version", service_version)
      .member("tenant", of.who.tenant.text())
      .member("user", of.who.as_user)
      .member("may_write", of.who.scopes.write);
  if (health)
    to.member("undurable_bytes", health->undurable_bytes);
  to.close_object();
  co_return answer_of(json);
}

} // namespace

std::vector<tool> service_tools() {
  std::vector<tool> all;
  all.push_back(make_tool({.name = "describe_service",
                           .title = "Health of the service",
                           .description = "Whether the service and its database are there, and as whom you call.",
                           .result = &service_shape,
                           .is_read_only = true},
                          describe_service));
  return all;
}

} // namespace colloquy::gateway::mcp
