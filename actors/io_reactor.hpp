// The one I/O thread: it reports which sockets are ready, and does nothing else.
#pragma once

#include <cstdint>
#include <functional>
#include <memory>

namespace colloquy::actors {

class io_reactor;

/// Watches one socket for its owner. The owner alone calls it, from whatever thread it runs on; the callback runs on
/// the I/O thread, once for each arming, and must only post a message. It may still run once, late, after disarm():
/// owners compare a generation of their own.
class socket_watch {
public:
  enum class readiness : std::uint8_t { readable, writable };
  using callback = std::function<void(readiness)>;

  socket_watch(io_reactor& reactor, int socket, callback on_ready);
  socket_watch(const socket_watch&) = delete;
  socket_watch& operator=(const socket_watch&) = delete;
  ~socket_watch(); ///< stops watching; the socket itself stays open

  void arm_read();
  void arm_write();

private:
  struct implementation;
  std::unique_ptr<implementation> implementation_;
};

/// Owns the thread. Outlives every watch.
class io_reactor {
public:
  io_reactor();
  io_reactor(const io_reactor&) = delete;
  io_reactor& operator=(const io_reactor&) = delete;
  ~io_reactor(); ///< stops and joins the thread

private:
  friend class socket_watch;
  struct implementation;
  std::unique_ptr<implementation> implementation_;
};

} // namespace colloquy::actors
