// The service itself: its pool, its health, its figures, its description.
#include "gateway/edge.hpp"
#include "gateway/openapi.hpp"
#include "gateway/problem.hpp"
#include "gateway/replies.hpp"

#include <algorithm>
#include <vector>

namespace colloquy::gateway {
namespace {

namespace asio = boost::asio;
using actors::pool_status;

double in_seconds(std::chrono::milliseconds time) {
  return std::chrono::duration<double>(time).count();
}

void write_server_view(json_writer& to, const db::server_view& view) {
  to.open_object()
      .member("total", view.total)
      .member("active", view.active)
      .member("idle", view.idle)
      .member("idle_in_transaction", view.idle_in_transaction)
      .member("oldest_s", in_seconds(view.oldest))
      .key("states")
      .open_array();
  for (const auto& each : view.states)
    to.open_object()
        .member("state", each.state)
        .member("count", each.count)
        .member("oldest_s", in_seconds(each.longest))
        .close_object();
  to.close_array().close_object();
}

void write(json_writer& to, const pool_status& pool) {
  to.open_object()
      .member("min", pool.min)
      .member("max", pool.max)
      .member("total", pool.total)
      .member("idle", pool.idle)
      .member("active", pool.active)
      .member("leased", pool.leased)
      .member("connecting", pool.connecting)
      .member("waiting", pool.waiting)
      .member("paused", pool.paused)
      .member("draining", pool.draining)
      .member("address", pool.address)
      .member("server_version", pool.server_version)
      .member("uses_tls", pool.uses_tls)
      .member_or_null("last_failure", pool.last_failure)
      .key("backends")
      .open_array();
  for (const auto& each : pool.backends)
    to.open_object()
        .member("backend_pid", each.backend_pid)
        .member("state", each.state)
        .member("age_s", in_seconds(each.age))
        .member("idle_s", in_seconds(each.since_used))
        .member("units", each.units_under_way)
        .member_or_null("tenant", each.tenant)
        .member_or_null("purpose", each.purpose)
        .close_object();
  to.close_array().key("at_server");
  write_server_view(to, pool.at_server);
  to.close_object();
}

template <class Request>
task<http_reply> control(call& of, Request wanted, const char* action) {
  auto answer =
      co_await of.at.asks().ask<pool_status>(of.at.handles().pool, std::move(wanted), of.at.settings().request_timeout);
  if (!answer)
    co_return make_problem(answer.failure(), of.request.id);
  if (*action != '\0') {
    of.who.tenant = tenant_id::parse("default").value_or(tenant_id()); // the service's own log
    of.at.audit(of, action, "pool", "pool");
  }
  co_return json_reply(200, *answer, [](json_writer& to, const pool_status& pool) { write(to, pool); });
}

void write_pool(metric_text& to, const pool_status& pool) {
  to.begin("colloquy_pool_connections", "gauge", "Connections to PostgreSQL by what they do.");
  for (const auto& [state, count] : {std::pair{"idle", pool.idle},
                                     {"active", pool.active},
                                     {"leased", pool.leased},
                                     {"connecting", pool.connecting}})
    to.sample(static_cast<std::uint64_t>(count), {{"state", state}});
  to.begin("colloquy_pool_connections_max", "gauge", "How many connections there may be.");
  to.sample(static_cast<std::uint64_t>(pool.max));
  to.begin("colloquy_pool_waiting", "gauge", "Requests that wait for a connection.");
  to.sample(static_cast<std::uint64_t>(pool.waiting));
  const auto histogram = [&](const actors::duration_histogram& of) {
    std::vector<std::pair<double, std::uint64_t>> buckets;
    auto bound = actors::duration_histogram::first_bound;
    for (std::size_t i = 0; i + 1 < of.buckets().size(); ++i, bound *= 2)
      buckets.emplace_back(std::chrono::duration<double>(bound).count(), of.buckets()[i]);
    to.buckets(buckets, of.count(), std::chrono::duration<double>(of.sum()).count());
  };
  to.begin("colloquy_pool_wait_seconds", "histogram", "How long units of work waited for a connection.");
  histogram(pool.numbers.wait_time);
  to.begin("colloquy_pool_query_seconds", "histogram", "How long units of work ran.");
  histogram(pool.numbers.query_time);
  to.begin("colloquy_pool_errors_total", "counter", "Units of work that failed.");
  for (const auto& [kind, count] : pool.numbers.errors)
    to.sample(count, {{"kind", kind}});
}

void write_health(metric_text& to, const service_health& health) {
  const auto gauge = [&](std::string_view name, std::string_view help, std::uint64_t value) {
    to.begin(name, "gauge", help).sample(value);
  };
  gauge("colloquy_database_up", "1 while PostgreSQL answers.", health.database_reachable ? 1 : 0);
  gauge("colloquy_sessions_resident", "Sessions in memory.", health.sessions_resident);
  to.begin("colloquy_sessions_refused_total", "counter", "Sessions stopped because the database refused an event.")
      .sample(static_cast<std::uint64_t>(health.sessions_refused));
  gauge("colloquy_shards_owned", "Of 1,024.", health.shards_owned);
  gauge("colloquy_undurable_bytes", "Accepted and not yet durable.", health.undurable_bytes);
  gauge("colloquy_undurable_bytes_max", "Past this callers are told to retry.", health.undurable_bytes_max);
  gauge("colloquy_writes_queued", "Writes that wait for a batch.", health.writes_queued);
  gauge("colloquy_batches_in_flight", "Batches that await their commit.", health.batches_in_flight);
  gauge("colloquy_journal_bytes", "In the journal and not known to be durable.", health.journal_bytes);
}

void write_database_sessions(metric_text& to, const database_session_figures& figures) {
  to.begin("colloquy_database_sessions", "gauge", "Database sessions by what they do.");
  const auto others = figures.open - std::min(figures.open, figures.parked + figures.pinned);
  for (const auto& [state, count] :
       {std::pair{"parked", figures.parked}, {"pinned", figures.pinned}, {"other", others}})
    to.sample(static_cast<std::uint64_t>(count), {{"state", state}});
  const auto gauge = [&](std::string_view name, std::string_view help, std::uint64_t value) {
    to.begin(name, "gauge", help).sample(value);
  };
  gauge("colloquy_database_backends", "Connections of database sessions.", figures.backends);
  gauge("colloquy_database_backends_max", "How many of them there may be.", figures.backends_max);
  gauge("colloquy_database_sessions_waiting", "Calls that wait for one of them.", figures.waiting);
  to.begin("colloquy_database_sessions_total", "counter", "Database sessions by what became of them.");
  to.sample(figures.opened, {{"event", "opened"}});
  to.sample(figures.closed, {{"event", "closed"}});
  to.sample(figures.given_back, {{"event", "given_back"}});
  to.sample(figures.parkings, {{"event", "parked"}});
  to.sample(figures.replays, {{"event", "resumed"}});
  to.begin("colloquy_database_statements_total", "counter", "Statements of database sessions.");
  to.sample(figures.statements);
  to.begin("colloquy_database_statements_failed_total", "counter", "Those that were refused, cancelled or ended.");
  to.sample(figures.refused, {{"how", "refused"}});
  to.sample(figures.cancelled, {{"how", "cancelled"}});
  to.sample(figures.terminated, {{"how", "terminated"}});
}

task<result<service_health>> ask_health(call& of) {
  return of.at.ask(get_health{});
}

std::string why_not_ready(const result<service_health>& health) {
  if (!health)
    return "the service does not answer";
  if (!health->database_reachable)
    return "the database cannot be reached";
  if (health->shards_owned == 0)
    return "another process owns all sessions of this database";
  return "";
}

/// Bounded: the busiest, and the rest in sum.
void write_tenants(metric_text& to, const tenant_book& book) {
  constexpr std::size_t labels_max = 100;
  std::vector<const tenant_state*> all;
  for (const auto& [id, state] : book.all())
    all.push_back(state.get());
  const auto shown = std::min(all.size(), labels_max);
  std::partial_sort(all.begin(), all.begin() + static_cast<std::ptrdiff_t>(shown), all.end(),
                    [](const auto* a, const auto* b) { return a->requests_counted > b->requests_counted; });
  std::uint64_t others = 0;
  for (auto i = shown; i < all.size(); ++i)
    others += all[i]->requests_counted;
  to.begin("colloquy_tenant_requests_total", "counter", "Requests by tenant: the busiest, and the others in sum.");
  for (std::size_t i = 0; i < shown; ++i)
    to.sample(all[i]->requests_counted, {{"tenant", all[i]->record.id.text()}});
  if (others > 0)
    to.sample(others, {{"tenant", "(others)"}});
  to.begin("colloquy_tenant_rejected_total", "counter", "Requests over a tenant's quota.");
  for (std::size_t i = 0; i < shown; ++i)
    for (const auto& [reason, count] : all[i]->rejected)
      to.sample(count, {{"tenant", all[i]->record.id.text()}, {"reason", reason}});
}

} // namespace

task<http_reply> handle_get_pool(call& of) {
  return control(of, actors::get_pool_status{true}, "");
}
task<http_reply> handle_pause_pool(call& of) {
  return control(of, actors::pause_pool{}, "pool.pause");
}
task<http_reply> handle_resume_pool(call& of) {
  return control(of, actors::resume_pool{}, "pool.resume");
}
task<http_reply> handle_resize_pool(call& of) {
  const auto min = of.said.body.integer_or("min", 1), max = of.said.body.integer_or("max", 2);
  return control(of, actors::resize_pool{static_cast<std::size_t>(min), static_cast<std::size_t>(max)}, "pool.resize");
}
task<http_reply> handle_rotate_pool(call& of) {
  return control(of, actors::rotate_pool{}, "pool.rotate");
}

task<http_reply> handle_get_health(call&) {
  http_reply reply;
  reply.body = R"({"status":"ok"})";
  co_return reply;
}

task<http_reply> handle_get_readiness(call& of) {
  std::string why;
  if (!of.at.handles().directory)
    why = "the service is starting";
  else if (of.at.is_draining())
    why = "the service is shutting down";
  else
    why = why_not_ready(co_await ask_health(of));
  http_reply reply;
  reply.status = why.empty() ? 200 : 503;
  json_writer to(reply.body);
  to.open_object().member("status", why.empty() ? "ready" : "not_ready").member_or_null("reason", why).close_object();
  if (!why.empty())
    reply.headers.emplace_back("Retry-After", "1");
  co_return reply;
}

task<http_reply> handle_get_metrics(call& of) {
  metric_text text;
  of.at.metrics().write(text);
  const auto health = co_await ask_health(of);
  if (health)
    write_health(text, *health);
  actors::get_pool_status wanted;
  auto pool =
      co_await of.at.asks().ask<pool_status>(of.at.handles().pool, std::move(wanted), of.at.settings().request_timeout);
  if (pool)
    write_pool(text, *pool);
  if (of.at.handles().database_sessions) {
    get_database_session_figures asked;
    auto figures = co_await of.at.ask(of.at.handles().database_sessions, std::move(asked));
    if (figures)
      write_database_sessions(text, *figures);
  }
  write_tenants(text, of.at.tenants());
  http_reply reply;
  reply.content_type = "text/plain; version=0.0.4; charset=utf-8";
  reply.body = std::move(text).take();
  co_return reply;
}

task<http_reply> handle_get_openapi(call&) {
  http_reply reply;
  reply.body = openapi_document();
  co_return reply;
}

} // namespace colloquy::gateway
