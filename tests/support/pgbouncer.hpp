// PgBouncer, Debian's, on 127.0.0.1 in front of a server that a test names: an own_cluster, or a tcp_proxy before it.
//
// Clients log in with SCRAM and the passwords that are given here, and PgBouncer logs in at the server with the same.
// It ends with the object and never outlives the test program. Everything throws std::runtime_error, with PgBouncer's
// own words, if it fails.
#pragma once

#include "tests/support/certificates.hpp"
#include "tests/support/test_cluster.hpp"

#include <map>
#include <memory>
#include <optional>
#include <string>
#include <sys/types.h>
#include <utility>
#include <vector>

namespace colloquy::test {

class own_cluster;

struct pgbouncer_options {
  std::string server_host = "127.0.0.1";
  int server_port = 0;
  std::string database = "colloquy";
  std::map<std::string, std::string> passwords; ///< of the logins that may come
  std::string pool_mode = "session";            ///< or "transaction", "statement"
  int default_pool_size = 5;                    ///< sessions at the server for each login
  int max_client_conn = 100;
  int query_wait_timeout_s = 30; ///< how long a client waits for a session at the server
  bool passwords_asked = true;   ///< false: everybody in `passwords` comes in without one
  /// With it clients must use TLS.
  std::optional<certificate> tls;
  /// More lines of the file's section [pgbouncer], which win, such as {"ignore_startup_parameters", "options"}.
  std::vector<std::pair<std::string, std::string>> settings;
};

/// In front of that server, for its two logins.
pgbouncer_options in_front_of(const own_cluster& server, const std::string& pool_mode = "session");

class pgbouncer {
public:
  /// Whether this machine has the program.
  static bool installed();

  /// Starts it and waits until it takes connections.
  explicit pgbouncer(pgbouncer_options options);
  pgbouncer(pgbouncer&&) noexcept;
  pgbouncer& operator=(pgbouncer&&) noexcept;
  ~pgbouncer();

  static constexpr const char* host() { return "127.0.0.1"; }
  int port() const;
  pid_t pid() const;
  bool running() const;

  /// With that login's password. `extra` ends the string and so wins.
  std::string conninfo(const std::string& login = "colloquy", const std::string& extra = "") const;

  /// A command on its console: "SHOW POOLS", "PAUSE", "RESUME", "KILL colloquy", "RECONNECT", "SHUTDOWN". Rows as text;
  /// a null is "". Throws sql_error. PAUSE waits until every session at the server is free.
  text_rows admin(const std::string& command) const;

  /// Ends it at once, and every connection with it. start() takes the same port again.
  void stop();
  void start();

  /// What it has written, at most the last 64 KiB.
  std::string log() const;

private:
  struct state;
  std::unique_ptr<state> state_;
};

} // namespace colloquy::test
