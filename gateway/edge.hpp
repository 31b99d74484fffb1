// The edge without its sockets: who may call what, what a call says, who answers it, how it is told. Everything here is
// used by one thread, the one that runs the io_context; what takes long is done elsewhere: by actors, or, for what only
// costs time, by `aside`.
//
// A request passes in this order: route, key, tenant, quota (admit, before its body is read), then its values, then the
// handler (run). What is refused has done nothing.
#pragma once

#include "config/settings.hpp"
#include "gateway/asker.hpp"
#include "gateway/authenticator.hpp"
#include "gateway/call.hpp"
#include "gateway/edge_metrics.hpp"
#include "gateway/event_streams.hpp"
#include "gateway/json_writer.hpp"
#include "gateway/loop.hpp"
#include "gateway/router.hpp"
#include "gateway/service_handles.hpp"
#include "gateway/tenant_book.hpp"

#include <boost/asio/io_context.hpp>
#include <boost/asio/thread_pool.hpp>

#include <memory>
#include <optional>
#include <string>

namespace colloquy::gateway {

namespace mcp {
class hub;
struct registry;
} // namespace mcp

class edge {
public:
  /// `offers`: to clients of the Model Context Protocol; null: what the product does.
  edge(caf::actor_system& system, boost::asio::io_context& context, config::settings settings,
       std::shared_ptr<const mcp::registry> offers = nullptr);
  edge(const edge&) = delete;
  edge& operator=(const edge&) = delete;
  ~edge();

  /// The service has started; until then everything but its health is database_unavailable.
  void attach(service_handles handles);
  /// Settings that may change while it runs, and tokens' keys: from the next request on.
  void reload(config::settings settings, std::shared_ptr<const jwt_verifier> verifier);
  /// No new requests; who waits or follows is told that it is over.
  void begin_draining();
  bool is_draining() const noexcept { return is_draining_; }

  /// Whether a request goes on: then `of`, `who` and `tenant` of the call are set.
  task<std::optional<http_reply>> admit(call& of);
  /// With its body. No exception leaves it.
  task<http_reply> run(call& of);
  /// A call that is part of another request, whose `of` and `who` are set: whether it goes on. Waits for a service that
  /// is starting. `counts`: the request has not been counted yet.
  task<std::optional<http_reply>> admit_inner(call& of, bool counts);
  /// Why the service will not be there for now, in other words than that it is starting; nothing: it may be.
  void say_unready(std::optional<error> why) { unready_ = std::move(why); }

  // For handlers.
  template <class Request, class Handle>
  task<result<typename Request::reply>> ask(const Handle& whom, Request request, std::chrono::milliseconds longer = {},
                                            ask_number* number = nullptr) {
    return asks_.ask<typename Request::reply>(whom, std::move(request), limit() + longer, number);
  }
  template <class Request>
  task<result<typename Request::reply>> ask(Request request, std::chrono::milliseconds longer = {},
                                            ask_number* number = nullptr) {
    return ask(handles_.directory, std::move(request), longer, number);
  }
  const service_handles& handles() const noexcept { return handles_; }
  const config::settings& settings() const noexcept { return settings_; }
  asker& asks() noexcept { return asks_; }
  authenticator& keys() noexcept { return *keys_; }
  tenant_book& tenants() noexcept { return tenants_; }
  edge_metrics& metrics() noexcept { return metrics_; }
  const router& routes() const noexcept { return routes_; }
  event_streams& streams() noexcept { return streams_; }
  mcp::hub& protocol() noexcept { return *protocol_; }
  boost::asio::io_context& context() noexcept { return context_; }
  boost::asio::thread_pool& aside() noexcept { return aside_; }

  /// As the settings and the tenant's quota say.
  size_limits limits_of(const call& of) const;

  /// An entry of the audit log.
  write_audit note_of(const call& by, std::string action, std::string target_kind, std::string target) const;
  /// In the audit log; not waited for.
  void audit(const call& by, std::string action, std::string target_kind, std::string target);
  audit_actor actor_of(const call& by) const { return {by.who.name, by.request.id}; }

private:
  std::chrono::milliseconds limit() const { return settings_.request_timeout + answer_margin; }
  std::optional<error> check_scope(const call& of) const;
  task<std::optional<error>> find_tenant(call& of);
  std::optional<http_reply> check_quota(call& of);
  std::optional<http_reply> check_rate(call& of);
  task<call_reading> read(const call& of);

  // An actor answers at its own deadline; who waits this much longer only guards against one that does not.
  static constexpr std::chrono::milliseconds answer_margin{5'000};

  boost::asio::io_context& context_;
  config::settings settings_;
  service_handles handles_;
  event_streams streams_;
  asker asks_;
  tenant_book tenants_;
  std::unique_ptr<authenticator> keys_;
  router routes_;
  edge_metrics metrics_;
  boost::asio::thread_pool aside_{1};
  bool is_draining_ = false;
  std::optional<error> unready_;
  std::unique_ptr<mcp::hub> protocol_; // last: it refers to all of the above
};

/// As JSON.
template <class T, class Write>
http_reply json_reply(unsigned status, const T& value, Write write_value) {
  http_reply reply;
  reply.status = status;
  json_writer to(reply.body);
  write_value(to, value);
  return reply;
}

} // namespace colloquy::gateway
