// A request of the Model Context Protocol while it is under way, and the client that it came from.
#pragma once

#include "gateway/mcp_registry.hpp"
#include "gateway/principal.hpp"
#include "gateway/tenant_book.hpp"

#include <cstdint>
#include <functional>
#include <map>
#include <memory>
#include <optional>
#include <set>
#include <string>
#include <string_view>

namespace colloquy::gateway {
class edge;
}

namespace colloquy::gateway::mcp {

class hub;

/// legacy: opened by `initialize`, up to 2025-11-25. modern: each request says what it needs, from 2026-07-28 on.
enum class era : std::uint8_t { legacy, modern };

inline constexpr std::string_view modern_version = "2026-07-28";
inline constexpr std::string_view legacy_versions[] = {"2025-11-25", "2025-06-18", "2025-03-26"};
bool is_legacy_version(std::string_view version) noexcept;

/// Of what is logged to a client: from debug to emergency.
bool is_log_level(std::string_view level) noexcept;
std::string all_log_levels(); ///< with commas

/// Where messages for a client go. Never waits: what the client has not taken yet waits there, and a client that lets
/// too much of it gather is given up.
class outlet {
public:
  outlet() = default;
  outlet(const outlet&) = delete;
  outlet& operator=(const outlet&) = delete;
  virtual ~outlet() = default;
  virtual void send(std::string message) = 0;
};

/// A client that is known from one request to the next: a session of the older versions over HTTP, or a connection of
/// lines, whatever is spoken there.
class peer {
public:
  static constexpr std::size_t requests_max = 256; ///< under way at a time
  static constexpr std::size_t watches_max = 100;

  peer(boost::asio::io_context& context, principal whose, tenant_state_ptr of)
    : who(std::move(whose))
    , tenant(std::move(of))
    , context_(context) {}
  peer(const peer&) = delete;
  peer& operator=(const peer&) = delete;
  ~peer();

  principal who;
  tenant_state_ptr tenant;
  std::string version{}; ///< agreed on by `initialize`; "" before
  std::string capabilities = "{}";
  std::string log_level{};                                ///< "": none said
  std::string shown_name{};                               ///< of the server, to this client; "": the setting's
  bool is_counted = false;                                ///< each of its messages against the tenant's quota, by HTTP
  std::function<void(std::string)> push{};                ///< what belongs to no request; may be empty
  std::map<std::string, std::shared_ptr<void>> watched{}; ///< by URI
  std::set<std::string> database_sessions{};              ///< that end with it
  bool is_over = false;                                   ///< what it still opens ends at once

  /// None: it may go on; else why not.
  std::optional<fault> begin(request& of);
  void end(const request& of);
  /// A request is under way that somebody still waits for.
  bool is_waiting() const noexcept;
  /// Told by the client, or the connection has ended.
  void cancel(std::string_view id);
  /// All of one method, or all.
  void cancel_method(std::string_view method);
  void cancel_all();

  /// Asks the client, by a request of ours; nothing if it does not answer, or with an error.
  task<std::optional<std::string>> ask(outlet& by, std::string_view method, std::string_view params);
  void take_response(const message& from);

private:
  struct waiting {
    loop_timer* wake;
    std::optional<std::string> result{};
    bool is_over = false;
  };

  boost::asio::io_context& context_;
  std::map<std::string, request*, std::less<>> under_way_; // by id
  std::map<std::string, waiting*, std::less<>> asked_;     // by our id
  std::uint64_t last_asked_ = 0;
};

/// Lives in one place: handlers refer to it.
struct request {
  request(hub& where, outlet& to)
    : at(where)
    , out(to) {}
  request(const request&) = delete;
  request& operator=(const request&) = delete;
  ~request() = default;

  hub& at;
  outlet& out;
  era spoken = era::modern;
  std::string version{};
  std::string text{}; ///< the message that the views below are into
  std::string id{};   ///< as it stands
  std::string method{};
  members said{}; ///< of its params
  members meta{};
  std::string capabilities = "{}"; ///< of the client
  std::string log_level{};         ///< "": nothing is to be logged
  principal who{};
  tenant_state_ptr tenant{};
  std::shared_ptr<peer> from{}; ///< null: of HTTP without a session
  std::string http_id{};        ///< for the log
  std::string traceparent{};
  std::function<void()> when_cancelled{}; ///< set by a handler that waits
  bool is_cancelled = false;
  bool is_left = false; ///< who asked is not connected any more, which cancels it in some versions only
  std::function<void()> on_undelivered{}; ///< set by a handler whose answer must not be lost unheard

  void cancel();
  bool has_capability(std::string_view name) const { return members(capabilities).has(name); }
  /// Only if the client wants to hear it.
  void send_progress(double progress, std::optional<double> total, std::string_view about);
  void log(std::string_view level, std::string_view data_json);
  members arguments() const { return said.object("arguments"); }
  edge& service() const;
};

} // namespace colloquy::gateway::mcp
