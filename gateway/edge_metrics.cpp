#include "gateway/edge_metrics.hpp"

#include <algorithm>

namespace colloquy::gateway {
namespace {

constexpr std::string_view known_methods[] = {"GET", "HEAD", "POST", "PUT", "PATCH", "DELETE", "OPTIONS"};

/// What a client makes up must not become a label.
std::string_view method_label(std::string_view method) {
  const auto* known = std::find(std::begin(known_methods), std::end(known_methods), method);
  return known == std::end(known_methods) ? "other" : *known;
}

double seconds(edge_metrics::clock::duration time) {
  return std::chrono::duration<double>(time).count();
}

} // namespace

void edge_metrics::note_request(const operation* of, std::string_view method, unsigned status, clock::duration took) {
  auto& route = of != nullptr ? routes_[static_cast<std::size_t>(of->id)] : routes_.back();
  ++route.requests[{std::string(method_label(method)), status}];
  route.duration.add(seconds(took));
}

void edge_metrics::end_durable(durable_wait wait, bool is_durable) {
  if (is_durable)
    durable_.add(seconds(clock::now() - *wait));
  waiting_.erase(wait);
}

void edge_metrics::write(metric_text& to) const {
  const auto name_of = [](std::size_t at) {
    return at < operations().size() ? operations()[at].path : std::string_view("none");
  };
  to.begin("colloquy_http_requests_total", "counter", "HTTP requests answered.");
  for (std::size_t i = 0; i < routes_.size(); ++i)
    for (const auto& [of, count] : routes_[i].requests)
      to.sample(count, {{"route", name_of(i)}, {"method", of.first}, {"status", std::to_string(of.second)}});
  to.begin("colloquy_http_request_duration_seconds", "histogram",
           "From a request's header until its reply was handed to the system; of a stream until it began.");
  for (std::size_t i = 0; i < routes_.size(); ++i)
    if (routes_[i].duration.count() > 0) {
      const auto method = i < operations().size() ? operations()[i].method : std::string_view("none");
      to.sample(routes_[i].duration, {{"route", name_of(i)}, {"method", method}});
    }
  to.begin("colloquy_http_connections", "gauge", "HTTP connections that are open.");
  to.sample(static_cast<std::uint64_t>(connections));
  to.begin("colloquy_http_streams", "gauge", "Event streams and long polls that are open.");
  to.sample(static_cast<std::uint64_t>(streams));
  to.begin("colloquy_http_requests_rejected_total", "counter",
           "Connections and requests turned away before anything was done.");
  for (const auto& [reason, count] : rejected_)
    to.sample(count, {{"reason", reason}});
  to.begin("colloquy_turns_started_total", "counter", "Turns handed to callers of HTTP.");
  to.sample(turns_started_);
  to.begin("colloquy_turns_ended_total", "counter", "Turns ended by callers of HTTP.");
  for (const auto& [outcome, count] : turns_ended_)
    to.sample(count, {{"outcome", outcome}});
  to.begin("colloquy_append_durable_duration_seconds", "histogram",
           "From a durable append's request until it was committed.");
  to.sample(durable_);
  to.begin("colloquy_persistence_lag_seconds", "gauge", "How long the oldest durable append now waiting has waited.");
  to.sample(waiting_.empty() ? 0.0 : seconds(clock::now() - *waiting_.begin()));
}

} // namespace colloquy::gateway
