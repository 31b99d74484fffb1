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
#include <functional>
#include <memory>
#include <string>
#include <vector>

namespace colloquy::gateway {

/// Used by one thread; whatever it does, it does in a thread of its own.
class server {
public:
  /// Listens, and serves: until attach() everything but its health is database_unavailable. Errors: invalid_request
  /// (a certificate, a key, a key set that cannot be used; an address that cannot be listened on), naming the setting.
  static result<std::unique_ptr<server>> start(caf::actor_system& system, const config::settings& settings);

  server(const server&) = delete;
  server& operator=(const server&) = delete;
  /// Cuts what is still open.
  ~server();

  /// Where it listens, as URLs or unix:/PATH.
  const std::vector<std::string>& addresses() const noexcept;
  /// The service is there.
  void attach(service_handles handles);
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
