// A TCP relay that misbehaves on command: between a client and PostgreSQL, PgBouncer, or anything else where the client
// speaks first.
//
// It listens on 127.0.0.1 and connects each connection through to its target, on a thread of its own, which ends with
// the object. Faults are switched from the test's thread at any time; a call returns when the fault is in force. They
// add up until forward() takes them away. What is held back is bounded (64 KiB each way and the kernel's buffers, which
// are made small), so a sender feels a slow or a frozen receiver.
//
// A connection whose first packet is PostgreSQL's CancelRequest is a cancel, any other is ordinary once its first bytes
// have come. Until then it counts as fresh. (From libpq 17 on PQcancelStart cancels inside TLS, where this cannot see
// it: such a connection is ordinary. PQcancel is always in the clear.)
//
// Calls on one proxy come from one thread at a time. The constructor throws std::runtime_error if it cannot listen or
// does not know the target.
#pragma once

#include <chrono>
#include <cstdint>
#include <functional>
#include <memory>
#include <string>

namespace colloquy::test {

enum class flow { to_server, to_client, both };
enum class traffic { ordinary, cancels, all };
enum class reach { existing, fresh, all }; ///< connections that are open, those still to come, or both

/// Which connections a fault meets.
struct fault_scope {
  traffic of = traffic::all;
  reach on = reach::all;
};

struct proxy_target {
  std::string host; ///< a name or an address; with port 0 the path of a unix socket
  int port = 0;
};

/// The host and port of a libpq connection string of either kind, which must name one server.
proxy_target target_of(const std::string& conninfo);

/// What a side has seen is counted when it sees it; that a side has gone is counted a moment later: wait_for() it.
struct proxy_counters {
  std::uint64_t accepted = 0;
  std::uint64_t open = 0;            ///< now; those that hang, too
  std::uint64_t cut = 0;             ///< by a fault, or since a side was reset or the target could not be reached
  std::uint64_t cancels = 0;         ///< CancelRequests seen
  std::uint64_t cancels_passed = 0;  ///< of these, given to the target whole
  std::uint64_t bytes_to_server = 0; ///< passed on
  std::uint64_t bytes_to_client = 0; ///< passed on
  std::uint64_t bytes_swallowed = 0;
};

class tcp_proxy {
public:
  explicit tcp_proxy(const proxy_target& target);
  tcp_proxy(const tcp_proxy&) = delete;
  tcp_proxy& operator=(const tcp_proxy&) = delete;
  /// Resets every connection.
  ~tcp_proxy();

  static constexpr const char* host() { return "127.0.0.1"; }
  int port() const;
  /// The same connection string (key=value) by way of this proxy.
  std::string through(const std::string& conninfo) const;

  /// No fault any more: what was delayed goes on, what hung connects through; what was swallowed is lost.
  void forward(fault_scope scope = {});

  /// Every byte comes that much later; the order stays, and the rate, up to 64 KiB in each delay.
  void delay(flow direction, std::chrono::milliseconds by, fault_scope scope = {});

  void throttle(flow direction, std::uint64_t bytes_per_second, fault_scope scope = {});

  /// Takes bytes and passes nothing on, not even the end, and keeps the connection open: a dead network.
  void swallow(flow direction, fault_scope scope = {});

  /// Ends a connection when so many more bytes have passed, mostly in the middle of a message: the receiver gets
  /// exactly these and then the end. Open connections count from now, fresh ones from their start, each by itself; 0 is
  /// the first byte to come, and so with {traffic::cancels} the way to refuse cancels alone.
  void cut_after(flow direction, std::uint64_t bytes, fault_scope scope = {});

  /// Resets those that are open now; new ones are let through.
  void cut(traffic of = traffic::all);

  /// New connections are accepted and left: nothing is read, the target hears nothing. forward() lets them go on.
  void hang_on_accept();

  /// Nobody listens: connecting is refused at once. Open connections go on.
  void refuse();
  /// Listens on the same port again.
  void accept_again();

  proxy_counters counters() const;
  /// False if it does not come true in time.
  bool wait_for(const std::function<bool(const proxy_counters&)>& holds,
                std::chrono::milliseconds within = std::chrono::seconds(20)) const;

private:
  struct state;
  std::unique_ptr<state> state_;
};

} // namespace colloquy::test
