#include "gateway/mcp_hub.hpp"

#include "gateway/edge.hpp"
#include "gateway/json_writer.hpp"
#include "gateway/mcp_errors.hpp"
#include "gateway/mcp_http_sessions.hpp"
#include "gateway/page_cursor.hpp"
#include "gateway/service_version.hpp"
#include "messages/json_scan.hpp"

#include <spdlog/spdlog.h>

#include <algorithm>

namespace colloquy::gateway::mcp {
namespace {

constexpr std::string_view meta_prefix = "io.modelcontextprotocol/";
constexpr std::size_t page_items_max = 100;
/// Of one answer: more than a client reads into a model, less than makes it lose its connection.
constexpr std::size_t answer_bytes_max = std::size_t{48} << 20;

/// How long a client may keep what hardly changes.
constexpr std::int64_t lists_ttl_ms = 300'000;
constexpr std::int64_t discovery_ttl_ms = 3'600'000;

std::string versions_json() {
  std::string out;
  json_writer to(out);
  to.open_array().value(modern_version);
  for (const auto version : legacy_versions)
    to.value(version);
  to.close_array();
  return out;
}

struct caching {
  std::string_view method;
  std::int64_t ttl_ms;
  bool is_shared; ///< the same for everybody
};
constexpr caching cached[] = {
    {"server/discover", discovery_ttl_ms, true},
    {"tools/list", lists_ttl_ms, false},
    {"prompts/list", lists_ttl_ms, true},
    {"resources/list", 0, false},
    {"resources/templates/list", lists_ttl_ms, true},
    {"resources/read", 0, false},
};

fault bad_cursor() {
  return {fault_code::invalid_params, "the cursor is not one that a page of this list ended with"};
}

/// Lists that stand in the registry, page by page. `write` writes one.
template <class Item, class Write>
answer page_of(const request& of, std::string_view name, const std::vector<const Item*>& all, Write write) {
  std::size_t from = 0;
  if (const auto cursor = of.said.raw("cursor"); !cursor.empty() && cursor != "null") {
    const auto text = string_of(cursor);
    const auto at = text ? from_cursor('L', *text) : std::nullopt;
    if (!at || static_cast<std::size_t>(*at) >= all.size())
      return {{}, bad_cursor()};
    from = static_cast<std::size_t>(*at);
  }
  const auto to = std::min(all.size(), from + page_items_max);
  std::string out;
  json_writer json(out);
  json.key(name).open_array();
  for (auto i = from; i < to; ++i)
    write(json, *all[i]);
  json.close_array();
  if (to < all.size())
    json.member("nextCursor", to_cursor('L', static_cast<std::int64_t>(to)));
  return {std::move(out)};
}

void write_tool(json_writer& to, const tool& each) {
  to.open_object().member("name", each.name);
  if (!each.title.empty())
    to.member("title", each.title);
  to.member("description", each.description).raw_member("inputSchema", each.input_schema);
  if (!each.output_schema.empty())
    to.raw_member("outputSchema", each.output_schema);
  to.key("annotations")
      .open_object()
      .member("readOnlyHint", each.is_read_only)
      .member("destructiveHint", each.is_destructive)
      .member("idempotentHint", each.is_idempotent)
      .member("openWorldHint", each.is_open_world)
      .close_object()
      .close_object();
}

} // namespace

bool may(const principal& who, access needs) noexcept {
  switch (needs) {
  case access::open:
    return true;
  case access::read:
    return who.scopes.read && !who.is_operator();
  case access::write:
    return who.scopes.write && !who.is_operator();
  default:
    return false;
  }
}

edge& request::service() const {
  return at.service();
}

struct hub::method {
  std::string_view name;
  task<answer> (hub::*serve)(request&);
  bool is_legacy;
  bool is_modern;
};

const std::vector<hub::method>& hub::methods() {
  static const std::vector<method> all{
      {"initialize", &hub::initialize, true, false},
      {"server/discover", &hub::discover, false, true},
      {"ping", &hub::ping, true, false},
      {"logging/setLevel", &hub::set_level, true, false},
      {"tools/list", &hub::list_tools, true, true},
      {"tools/call", &hub::call_tool, true, true},
      {"resources/list", &hub::list_resources, true, true},
      {"resources/templates/list", &hub::list_templates, true, true},
      {"resources/read", &hub::read_resource, true, true},
      {"resources/subscribe", &hub::subscribe, true, false},
      {"resources/unsubscribe", &hub::unsubscribe, true, false},
      {"prompts/list", &hub::list_prompts, true, true},
      {"prompts/get", &hub::get_prompt, true, true},
      {"completion/complete", &hub::complete, true, true},
      {"subscriptions/listen", &hub::listen, false, true},
  };
  return all;
}

hub::hub(edge& service, std::shared_ptr<const registry> offers)
  : service_(service)
  , offers_(std::move(offers))
  , sessions_(std::make_unique<http_sessions>(*this)) {}

hub::~hub() = default;

void hub::read_into(request& of, const message& from) {
  of.id = std::string(from.id);
  of.method = from.method;
  of.said = members(from.params);
  of.meta = of.said.object("_meta");
  const auto key = [](std::string_view name) { return std::string(meta_prefix) + std::string(name); };
  of.version = of.meta.text(key("protocolVersion")).value_or("");
  if (const auto capabilities = of.meta.raw(key("clientCapabilities")); capabilities.starts_with('{'))
    of.capabilities = std::string(capabilities);
  of.log_level = of.meta.text(key("logLevel")).value_or("");
  of.traceparent = of.meta.text("traceparent").value_or("");
  of.spoken = of.version.empty() ? era::legacy : era::modern;
}

std::optional<fault> hub::check_modern(const request& of) const {
  const auto missing = [&](std::string_view name) {
    return fault{fault_code::invalid_params,
                 "_meta of a request must have " + std::string(meta_prefix) + std::string(name),
                 {},
                 400};
  };
  if (of.version.empty())
    return missing("protocolVersion");
  if (!of.meta.raw(std::string(meta_prefix) + "clientCapabilities").starts_with('{'))
    return missing("clientCapabilities");
  if (of.version == modern_version)
    return std::nullopt;
  std::string data;
  json_writer(data)
      .open_object()
      .raw_member("supported", versions_json())
      .member("requested", of.version)
      .close_object();
  return fault{fault_code::unsupported_version, "Unsupported protocol version", std::move(data), 400};
}

task<answer> hub::serve(request& of) {
  std::string why;
  try {
    co_return co_await dispatch(of);
  } catch (const std::exception& problem) {
    why = problem.what();
  }
  spdlog::error("request {}: {}: {}", of.http_id, of.method, why);
  co_return refuse(fault_code::internal, "a fault of the service; its log tells more under request " + of.http_id);
}

task<answer> hub::dispatch(request& of) {
  const auto& all = methods();
  const bool is_modern = of.spoken == era::modern;
  const auto found = std::find_if(all.begin(), all.end(), [&](const method& each) {
    return each.name == of.method && (is_modern ? each.is_modern : each.is_legacy);
  });
  if (found == all.end()) {
    fault why{
        fault_code::method_not_found, "there is no method " + colloquy::quoted(of.method), {}, is_modern ? 404u : 200u};
    co_return answer{{}, std::move(why)};
  }
  co_return co_await (this->*found->serve)(of);
}

const std::string& hub::name_for(const request& of) const {
  return of.from && !of.from->shown_name.empty() ? of.from->shown_name : service_.settings().mcp_server_name;
}

std::string hub::server_info(const request& of) const {
  std::string out;
  json_writer(out)
      .open_object()
      .member("name", name_for(of))
      .member("title", "Colloquy")
      .member("version", service_version)
      .close_object();
  return out;
}

std::string hub::capabilities(era spoken) const {
  std::string out;
  json_writer to(out);
  const auto list = [&](std::string_view name, bool has_subscriptions) {
    to.key(name).open_object();
    if (has_subscriptions)
      to.member("subscribe", true);
    if (offers_->lists_change)
      to.member("listChanged", true);
    to.close_object();
  };
  to.open_object();
  list("tools", false);
  list("resources", true);
  list("prompts", false);
  to.key("completions").open_object().close_object();
  if (spoken == era::legacy)
    to.key("logging").open_object().close_object();
  to.close_object();
  return out;
}

std::string hub::write(const request& of, const answer& with) const {
  if (with.failed)
    return write_fault(of.id, *with.failed);
  std::string result = "{";
  const auto add = [&](std::string_view json) {
    if (result.size() > 1 && !json.empty())
      result += ',';
    result += json;
  };
  if (of.spoken == era::modern)
    add(with.is_input_required ? R"("resultType":"input_required")" : R"("resultType":"complete")");
  add(with.members);
  if (of.spoken == era::modern) {
    for (const auto& each : cached) {
      if (each.method != of.method || with.is_input_required)
        continue;
      const bool is_shared = each.is_shared || (of.method == "tools/list" && of.who.kind == principal_kind::local);
      add("\"ttlMs\":" + std::to_string(each.ttl_ms) + ",\"cacheScope\":\"" + (is_shared ? "public" : "private") + '"');
    }
    add("\"_meta\":{" + (with.meta.empty() ? "" : with.meta + ",") + "\"" + std::string(meta_prefix) +
        "serverInfo\":" + server_info(of) + "}");
  }
  result += '}';
  if (result.size() > answer_bytes_max)
    return write(of, too_large_answer(of,
                                      "the answer would have " + std::to_string(result.size()) + " bytes, and " +
                                          std::to_string(answer_bytes_max) +
                                          " can be given at once; what was asked for was done",
                                      "ask for less: by max_rows and max_bytes of execute_sql, by limit of a list, or "
                                      "for a part of a long value, as in substr(value, 1, 100000)."));
  return write_result(of.id, result);
}

task<answer> hub::initialize(request& of) {
  const auto asked = of.said.text("protocolVersion");
  if (!asked || !of.from)
    co_return refuse(fault_code::invalid_params, "protocolVersion must be a string");
  if (!of.from->version.empty())
    co_return answer{{}, fault{fault_code::invalid_request, "initialize has been said already", {}, 400}};
  of.from->version = is_legacy_version(*asked) && *asked != "2024-11-05" ? *asked : std::string(legacy_versions[0]);
  if (const auto capabilities = of.said.raw("capabilities"); capabilities.starts_with('{'))
    of.from->capabilities = std::string(capabilities);
  std::string out;
  json_writer to(out);
  to.member("protocolVersion", of.from->version)
      .raw_member("capabilities", capabilities(era::legacy))
      .raw_member("serverInfo", server_info(of))
      .member("instructions", offers_->instructions);
  co_return answer{std::move(out)};
}

task<answer> hub::discover(request&) {
  std::string out;
  json_writer to(out);
  to.raw_member("supportedVersions", versions_json())
      .raw_member("capabilities", capabilities(era::modern))
      .member("instructions", offers_->instructions);
  co_return answer{std::move(out)};
}

task<answer> hub::ping(request&) {
  co_return answer{};
}

task<answer> hub::set_level(request& of) {
  const auto level = of.said.text("level");
  if (!level || !is_log_level(*level))
    co_return refuse(fault_code::invalid_params, "level must be one of " + all_log_levels());
  if (of.from)
    of.from->log_level = *level;
  co_return answer{};
}

task<answer> hub::list_tools(request& of) {
  std::vector<const tool*> visible;
  for (const auto& each : offers_->tools)
    if (may(of.who, each.needs))
      visible.push_back(&each);
  co_return page_of(of, "tools", visible, write_tool);
}

task<answer> hub::call_tool(request& of) {
  const auto name = of.said.text("name");
  if (!name)
    co_return refuse(fault_code::invalid_params, "name must be a string: the name of a tool");
  const auto found =
      std::find_if(offers_->tools.begin(), offers_->tools.end(), [&](const tool& each) { return each.name == *name; });
  if (found == offers_->tools.end())
    co_return refuse(fault_code::invalid_params, "there is no tool " + colloquy::quoted(*name));
  if (!may(of.who, found->needs)) {
    const std::string scope = found->needs == access::write ? "write" : "read";
    fault why{fault_code::invalid_params,
              "the tool " + *name + " needs the scope " + scope,
              {},
              403,
              "error=\"insufficient_scope\", scope=\"" + scope + "\""};
    co_return answer{{}, std::move(why)};
  }
  const auto arguments = of.said.raw("arguments");
  if (!arguments.empty() && !arguments.starts_with('{'))
    co_return refuse(fault_code::invalid_params, "arguments must be an object");
  co_return co_await found->call(of);
}

task<answer> hub::list_prompts(request& of) {
  std::vector<const prompt*> all;
  for (const auto& each : offers_->prompts)
    all.push_back(&each);
  co_return page_of(of, "prompts", all, [](json_writer& to, const prompt& each) {
    to.open_object().member("name", each.name).member("title", each.title).member("description", each.description);
    if (!each.arguments.empty()) {
      to.key("arguments").open_array();
      for (const auto& argument : each.arguments)
        to.open_object()
            .member("name", argument.name)
            .member("description", argument.description)
            .member("required", argument.is_required)
            .close_object();
      to.close_array();
    }
    to.close_object();
  });
}

task<answer> hub::get_prompt(request& of) {
  const auto name = of.said.text("name").value_or("");
  const auto found = std::find_if(offers_->prompts.begin(), offers_->prompts.end(),
                                  [&](const prompt& each) { return each.name == name; });
  if (found == offers_->prompts.end())
    co_return refuse(fault_code::invalid_params, "there is no prompt " + colloquy::quoted(name));
  const auto arguments = of.arguments();
  for (const auto& each : found->arguments)
    if (each.is_required && !arguments.text(each.name))
      co_return refuse(fault_code::invalid_params,
                       "the prompt " + name + " needs the argument " + each.name + ", a string");
  co_return co_await found->get(of);
}

task<answer> hub::complete(request& of) {
  const auto reference = of.said.object("ref");
  const auto argument = of.said.object("argument");
  const auto type = reference.text("type").value_or("");
  completion_request wanted;
  wanted.is_prompt = type == "ref/prompt";
  const auto named = reference.text(wanted.is_prompt ? "name" : "uri");
  const auto about = argument.text("name");
  if ((!wanted.is_prompt && type != "ref/resource") || !named || !about)
    co_return refuse(fault_code::invalid_params, "ref must be a ref/prompt or ref/resource, and argument have a name");
  wanted.reference = *named;
  wanted.argument = *about;
  wanted.value = argument.text("value").value_or("");
  std::vector<std::string> values;
  if (offers_->complete)
    values = co_await offers_->complete(of, wanted);
  const auto count = std::min(values.size(), page_items_max);
  std::string out;
  json_writer to(out);
  to.key("completion").open_object().key("values").open_array();
  for (std::size_t i = 0; i < count; ++i)
    to.value(values[i]);
  to.close_array().member("total", values.size()).member("hasMore", count < values.size()).close_object();
  co_return answer{std::move(out)};
}

void hub::take_notification(peer& from, const message& of) {
  if (of.method != "notifications/cancelled")
    return;
  if (const auto id = members(of.params).raw("requestId"); !id.empty())
    from.cancel(id);
}

} // namespace colloquy::gateway::mcp
