// Listening: sockets, the one thread that serves them, and how it ends. What is asked of the service is in edge.hpp.
//
// One thread: what it does for a request costs some tens of microseconds, it never waits, and nothing of the edge needs
// a lock (docs/decisions/0009).
#pragma once

#include "config/settings.hpp"
#include "gateway/service_handles.hpp"
#include "messages/error.hpp"

#include <caf/fwd.hpp>

#include <chrono>
#include <filesystem>
#include <functional>
#include <memory>
#include <optional>
#include <string>
#include <vector>

namespace colloquy::gateway {

namespace mcp {
struct registry;
}

struct server_extras {
  std::shared_ptr<const mcp::registry> offers{}; ///< null: what the product offers
  bool is_port_optional = false;                 ///< mcp_server_port, if somebody else has it, is only warned of
};

/// Used by one thread; whatever it does, it does in a thread of its own.
class server {
public:
  /// Listens, and serves: until attach() everything but its health is database_unavailable. Errors: invalid_request
  /// (a certificate, a key, a key set that cannot be used; an address that cannot be listened on), naming the setting.
  /// `listen` may be empty: then only mcp_server_port is listened on, and what open_private_socket() is told.
  static result<std::unique_ptr<server>> start(caf::actor_system& system, const config::settings& settings,
                                               server_extras extras = {});

  server(const server&) = delete;
  server& operator=(const server&) = delete;
  /// Cuts what is still open.
  ~server();

  /// Where it listens, as URLs or unix:/PATH.
  const std::vector<std::string>& addresses() const noexcept;
  /// The service is there.
  void attach(service_handles handles);
  /// It will not be for now, and why; nothing: it may be.
  void say_unready(std::optional<error> why);
  /// Serves the Model Context Protocol line by line there, to this user's programs alone. Errors: invalid_request.
  result<void> open_private_socket(const std::filesystem::path& path);
  /// New certificates, token keys and whatever else of the settings may change: for connections and requests from now
  /// on. Errors: as start; then nothing has changed.
  result<void> reload(const config::settings& settings);
  /// Listens no more, finishes what is under way, and closes what is idle. Blocks until nothing is open, at most
  /// `limit`. False: something was still under way, and is cut.
  bool drain(std::chrono::milliseconds limit);

private:
  struct implementation;
  explicit server(std::unique_ptr<implementation> parts);
  std::unique_ptr<implementation> implementation_;
};

} // namespace colloquy::gateway
