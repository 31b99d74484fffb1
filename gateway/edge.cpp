#include "gateway/edge.hpp"

#include "config/listen_address.hpp"
#include "gateway/mcp_authorization.hpp"
#include "gateway/mcp_hub.hpp"
#include "gateway/problem.hpp"
#include "gateway/reply_head.hpp"
#include "gateway/secrets.hpp"

#include <boost/asio/co_spawn.hpp>

#include <spdlog/spdlog.h>

#include <algorithm>

namespace colloquy::gateway {
namespace {

using namespace std::chrono_literals;
namespace asio = boost::asio;

/// A body from this size on is read beside the edge's thread, which has others to serve.
constexpr std::size_t aside_bytes_min = 128 * config::kibibyte;

/// How often it is looked whether a service that is starting is there.
constexpr auto start_grain = 20ms;

const error starting{error_code::database_unavailable, "the service is starting", 1000ms};
const error ending{error_code::overloaded, "the service is shutting down", 1000ms};

authenticator_options make_authenticator_options(const config::settings& settings) {
  authenticator_options options;
  const auto addresses = config::parse_listen_addresses(settings.listen);
  options.is_local =
      settings.listen.empty() || (addresses && std::all_of(addresses->begin(), addresses->end(),
                                                           [](const auto& each) { return each.is_loopback(); }));
  if (settings.admin_key)
    options.admin_sha256 = sha256(*settings.admin_key);
  options.request_timeout = settings.request_timeout;
  return options;
}

/// Where no key is needed, a page in a browser of this machine could call as well as its owner: by a name that leads
/// here only for that page, or from an origin that nobody has allowed.
std::optional<error> why_not_local(const http_request& request, const std::optional<std::string>& cors_origins) {
  if (request.host && !is_loopback_name(*request.host))
    return error{error_code::forbidden, "without a key the header Host must name this machine, as localhost"};
  if (request.origin && !allowed_origin(cors_origins, request))
    return error{error_code::forbidden, "without a key only pages of cors_origins may call"};
  return std::nullopt;
}

std::optional<std::int64_t> over(std::optional<std::int64_t> most, std::int64_t has) {
  return most && has >= *most ? most : std::nullopt;
}

error over_quota(std::string_view what, std::int64_t most) {
  return {error_code::quota_exceeded,
          "the tenant's quota is reached: " + std::string(what) + " is " + std::to_string(most), 1000ms};
}

http_reply refuse_quota(call& of, const char* reason, const error& why) {
  ++of.tenant->rejected[reason];
  of.at.metrics().note_rejected(reason);
  return make_problem(why, of.request.id);
}

bool names_tenant(const operation& of) {
  return !of.path_fields.empty() && of.path_fields.front().name == "tenant";
}

bool makes_session(operation_id id) {
  return id == operation_id::create_session || id == operation_id::open_session || id == operation_id::fork_session ||
         id == operation_id::import_sessions;
}

bool stores_data(operation_id id) {
  switch (id) {
  case operation_id::append_messages:
  case operation_id::append_event:
  case operation_id::append_turn_messages:
  case operation_id::start_turn:
  case operation_id::import_sessions:
  case operation_id::insert_documents:
  case operation_id::update_one_document:
  case operation_id::open_store:
  case operation_id::create_customer:
  case operation_id::update_customer:
  case operation_id::tag_customer:
  case operation_id::create_context_variable:
  case operation_id::update_context_variable:
  case operation_id::tag_context_variable:
  case operation_id::put_context_value:
    return true;
  default:
    return false;
  }
}

} // namespace

edge::edge(caf::actor_system& system, asio::io_context& context, config::settings settings,
           std::shared_ptr<const mcp::registry> offers)
  : context_(context)
  , settings_(std::move(settings))
  , asks_(system, context,
          [this](const caf::message& news) {
            streams_.take(news);
            protocol_->take(news);
          })
  , tenants_(asks_, handles_, settings_.request_timeout)
  , keys_(std::make_unique<authenticator>(asks_, handles_, make_authenticator_options(settings_)))
  , protocol_(std::make_unique<mcp::hub>(
        *this, offers ? std::move(offers) : std::make_shared<const mcp::registry>(mcp::product_registry()))) {}

edge::~edge() {
  aside_.join();
}

void edge::attach(service_handles handles) {
  handles_ = std::move(handles);
}

void edge::reload(config::settings settings, std::shared_ptr<const jwt_verifier> verifier) {
  settings_ = std::move(settings);
  keys_->use_tokens(std::move(verifier));
}

void edge::begin_draining() {
  is_draining_ = true;
  streams_.close_all(ending);
  protocol_->begin_draining();
}

std::optional<error> edge::check_scope(const call& of) const {
  const auto& who = of.who;
  switch (of.of->needs) {
  case access::open:
    return std::nullopt;
  case access::read:
    if (who.scopes.read && !who.is_operator())
      return std::nullopt;
    break;
  case access::write:
    if (who.scopes.write && !who.is_operator())
      return std::nullopt;
    break;
  case access::admin:
    if (who.scopes.admin && !who.as_user && (!who.is_operator() || names_tenant(*of.of)))
      return std::nullopt;
    break;
  case access::member:
    if (!who.is_operator())
      return std::nullopt;
    break;
  case access::operate:
    // Nobody else is there to look after a service that has no keys; but tenants are made with the admin key alone.
    if (who.is_operator() || (who.kind == principal_kind::local && of.of->tag == "Service"))
      return std::nullopt;
    return error{error_code::forbidden, "this needs the admin key"};
  }
  if (who.is_operator())
    return error{error_code::forbidden, "the admin key makes tenants and keys; this needs a key of a tenant"};
  constexpr std::string_view names[] = {"", "read", "write", "admin", "", ""};
  return error{error_code::forbidden,
               "this needs the scope " + std::string(names[static_cast<std::size_t>(of.of->needs)]) +
                   (who.as_user && of.of->needs == access::admin ? ", and not for one user alone" : "")};
}

/// The one that is named by the key, or, for an operator and for looking after one's own, by the path.
task<std::optional<error>> edge::find_tenant(call& of) {
  auto id = of.who.tenant;
  const bool is_named = names_tenant(*of.of);
  if (is_named) {
    const auto named = tenant_id::parse(of.path_parameters.front());
    if (!named || (!of.who.is_operator() && *named != id))
      co_return error{error_code::not_found, "there is no such tenant"};
    id = *named;
  }
  if (id.text().empty())
    co_return std::nullopt; // about no tenant
  auto found = co_await tenants_.find(id);
  if (!found && found.failure().code == error_code::not_found && !is_named)
    co_return error{error_code::unauthenticated, "the key or token names a tenant that is not here"};
  if (!found)
    co_return found.failure();
  of.who.tenant = id;
  of.tenant = std::move(*found);
  co_return std::nullopt;
}

std::optional<http_reply> edge::check_rate(call& of) {
  if (!of.tenant)
    return std::nullopt;
  auto& state = *of.tenant;
  ++state.requests_counted;
  const auto& quotas = state.record.quotas;
  if (of.of->traits.is_exempt || !quotas.requests_per_s)
    return std::nullopt;
  const auto burst = quotas.request_burst.value_or(*quotas.requests_per_s);
  const auto wait = state.requests.take(*quotas.requests_per_s, burst, std::chrono::steady_clock::now());
  if (!wait)
    return std::nullopt;
  auto why = over_quota("requests_per_s", *quotas.requests_per_s);
  why.retry_after = std::chrono::ceil<std::chrono::milliseconds>(*wait);
  auto reply = refuse_quota(of, "requests", std::move(why));
  const auto reset = std::chrono::ceil<std::chrono::seconds>(*wait).count();
  reply.headers.emplace_back("RateLimit-Limit", std::to_string(burst));
  reply.headers.emplace_back("RateLimit-Remaining", "0");
  reply.headers.emplace_back("RateLimit-Reset", std::to_string(reset));
  return reply;
}

std::optional<http_reply> edge::check_quota(call& of) {
  if (!of.tenant || of.of->traits.is_exempt)
    return std::nullopt;
  auto& state = *of.tenant;
  const auto& quotas = state.record.quotas;
  if (makes_session(of.of->id))
    if (auto most = over(quotas.sessions_max, state.record.sessions + state.sessions_made))
      return refuse_quota(of, "sessions", over_quota("sessions_max", *most));
  if (stores_data(of.of->id))
    if (auto most = over(quotas.stored_bytes_max, state.record.stored_bytes + state.bytes_written))
      return refuse_quota(of, "stored_bytes", over_quota("stored_bytes_max", *most));
  return std::nullopt;
}

task<std::optional<http_reply>> edge::admit(call& of) {
  const auto problem = [&](const error& why) { return make_problem(why, of.request.id); };
  if (of.of->traits.is_mcp)
    if (auto why = mcp::why_not_from_there(of.request, settings_))
      co_return problem(*why);
  if (!handles_.directory && of.of->needs != access::open)
    co_return problem(unready_.value_or(starting));
  if (is_draining_ && !of.of->traits.is_exempt) {
    metrics_.note_rejected("draining");
    co_return problem(ending);
  }
  if (of.of->needs == access::open)
    co_return std::nullopt;
  auto who = co_await keys_->identify(of.request.authorization);
  if (who && of.of->traits.is_mcp && !mcp::is_for_here(*who, of.request, settings_))
    who = error{error_code::unauthenticated, "the token's aud does not name this resource"};
  if (who && who->kind == principal_kind::nobody)
    who = error{error_code::unauthenticated, "a key is needed: Authorization: Bearer KEY"};
  if (!who) {
    auto reply = problem(who.failure());
    if (reply.status == 401)
      reply.headers.emplace_back("WWW-Authenticate", of.of->traits.is_mcp ? mcp::challenge(of.request, settings_)
                                                                          : std::string("Bearer realm=\"colloquy\""));
    co_return reply;
  }
  of.who = std::move(*who);
  if (of.who.kind == principal_kind::local && !of.of->traits.is_mcp)
    if (auto why = why_not_local(of.request, settings_.cors_origins))
      co_return problem(*why);
  if (auto why = check_scope(of))
    co_return problem(*why);
  if (auto why = co_await find_tenant(of))
    co_return problem(*why);
  if (auto refused = check_rate(of))
    co_return refused;
  co_return check_quota(of);
}

task<std::optional<http_reply>> edge::admit_inner(call& of, bool counts) {
  const auto problem = [&](const error& why) { return make_problem(why, of.request.id); };
  const auto until = std::chrono::steady_clock::now() + settings_.request_timeout;
  loop_timer pause(context_);
  while (!handles_.directory) {
    if (is_draining_)
      co_return problem(ending);
    if (unready_ || std::chrono::steady_clock::now() >= until)
      co_return problem(unready_.value_or(starting));
    pause.expires_after(start_grain);
    co_await pause.async_wait(use_task);
  }
  if (is_draining_)
    co_return problem(ending);
  if (auto why = check_scope(of))
    co_return problem(*why);
  if (!of.tenant)
    if (auto why = co_await find_tenant(of))
      co_return problem(*why);
  if (counts)
    if (auto refused = check_rate(of))
      co_return refused;
  co_return check_quota(of);
}

size_limits edge::limits_of(const call& of) const {
  size_limits limits{settings_.message_bytes_max, settings_.metadata_bytes_max, settings_.document_bytes_max};
  if (of.tenant && of.tenant->record.quotas.message_bytes_max)
    limits.message_bytes_max =
        std::min(limits.message_bytes_max, static_cast<std::size_t>(*of.tenant->record.quotas.message_bytes_max));
  return limits;
}

task<call_reading> edge::read(const call& of) {
  const auto read_now = [&] {
    return read_call(*of.of, of.path_parameters, of.request.query, of.request.headers, of.request.body, limits_of(of));
  };
  if (of.request.body.size() < aside_bytes_min)
    co_return read_now();
  co_return co_await run_aside(aside_, read_now);
}

task<http_reply> edge::run(call& of) {
  std::string fault;
  try {
    auto reading = co_await read(of);
    if (!reading.is_good())
      co_return make_problem(reading, of.request.id);
    of.said = std::move(reading.said);
    if (of.tenant && stores_data(of.of->id))
      of.tenant->bytes_written += static_cast<std::int64_t>(of.request.body.size());
    auto reply = co_await handler_of(of.of->id)(of);
    if (of.tenant && of.tenant->record.quotas.requests_per_s && !of.of->traits.is_exempt) {
      const auto& quotas = of.tenant->record.quotas;
      reply.headers.emplace_back("RateLimit-Limit",
                                 std::to_string(quotas.request_burst.value_or(*quotas.requests_per_s)));
      reply.headers.emplace_back("RateLimit-Remaining", std::to_string(of.tenant->requests.left()));
      reply.headers.emplace_back("RateLimit-Reset", "1");
    }
    co_return reply;
  } catch (const std::exception& why) {
    fault = why.what();
  }
  co_return make_problem({error_code::internal, fault}, of.request.id);
}

write_audit edge::note_of(const call& by, std::string action, std::string target_kind, std::string target) const {
  write_audit note;
  note.entry.tenant = by.who.tenant;
  note.entry.by = actor_of(by);
  note.entry.action = std::move(action);
  note.entry.target_kind = std::move(target_kind);
  note.entry.target = std::move(target);
  return note;
}

void edge::audit(const call& by, std::string action, std::string target_kind, std::string target) {
  asks_.tell(handles_.tenants, note_of(by, std::move(action), std::move(target_kind), std::move(target)));
}

} // namespace colloquy::gateway
