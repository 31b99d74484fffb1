// A PostgreSQL server of a test's own, beside the one that the test program shares: on TCP, with TLS and passwords, to
// be stopped, killed, frozen and filled up. For anything that needs none of this, test_cluster.hpp is quicker.
//
// It holds the database `colloquy`, migrated, and the logins `colloquy` and `colloquy_owner`, as the embedded server
// has them, each with a random password. It listens on 127.0.0.1 and on a unix socket, by which the user who runs the
// tests is let in as any of the logins and as `postgres` without a password. Its first start takes a second or two. It
// never outlives the test program. One thread at a time; everything throws std::runtime_error, with the server's last
// words, if it fails.
#pragma once

#include "tests/support/certificates.hpp"

#include <memory>
#include <optional>
#include <string>
#include <string_view>
#include <sys/types.h>
#include <utility>
#include <vector>

namespace colloquy::test {

struct own_cluster_options {
  /// With it TLS is on, and those who come without are turned away.
  std::optional<certificate> tls;
  /// Lines of pg_hba.conf for TCP, in place of those that follow from `tls`: SCRAM for everybody who may come.
  std::vector<std::string> hba;
  /// What postgresql.conf would say, such as {"max_connections", "10"}; wins over the fixture's own.
  std::vector<std::pair<std::string, std::string>> settings;
  /// False leaves the database without the schema, for tests that migrate or need none; a little quicker.
  bool migrated = true;
};

enum class stop_kind {
  orderly,   ///< as an administrator does: sessions are ended with 57P01
  immediate, ///< SIGQUIT: sessions are told so in a warning and break; the next start recovers
  killed,    ///< kill -9 for the first process; the others notice
};

class own_cluster {
public:
  /// Makes the cluster and starts the server.
  explicit own_cluster(own_cluster_options options = {});
  own_cluster(own_cluster&&) noexcept;
  own_cluster& operator=(own_cluster&&) noexcept;
  ~own_cluster();

  static constexpr const char* host() { return "127.0.0.1"; }
  /// Stays the same over restarts.
  int port() const;
  /// The folder, for libpq's host; both `port()` and 5432 lead to the server there.
  std::string socket_dir() const;

  /// Of `colloquy` or `colloquy_owner`.
  const std::string& password_of(const std::string& login) const;
  /// Changes it, as an administrator may at any time.
  void set_password(const std::string& login, const std::string& password);

  /// Over TCP, with the login's right password. `extra` ends the string and so wins: "sslmode=verify-full ...".
  std::string conninfo(const std::string& login = "colloquy", const std::string& extra = "") const;
  /// The same with another password.
  std::string conninfo_with(const std::string& login, const std::string& password, const std::string& extra = "") const;
  /// As superuser over the unix socket; gets in when the server is full, too.
  std::string superuser_conninfo(const std::string& database = "colloquy") const;

  /// As superuser, on a connection of its own; the first value or "". Throws sql_error too.
  std::string value(const std::string& sql) const;

  /// A server that runs is stopped first. The same cluster, port and settings, except for those that are set here
  /// from now on.
  void restart(stop_kind how = stop_kind::orderly,
               const std::vector<std::pair<std::string, std::string>>& settings = {});
  /// Returns when the server and all its backends have ended, those that are frozen too.
  void stop(stop_kind how = stop_kind::orderly);
  /// Returns when it takes connections.
  void start();
  bool running() const;

  /// For new connections; returns when the server has noticed.
  void replace_certificate(const certificate& fresh);
  void replace_hba(const std::vector<std::string>& lines);

  /// The first process: SIGSTOP for it leaves the sessions alone and lets nobody in, though TCP connects.
  pid_t pid() const;
  /// SIGSTOP, SIGCONT, ... for one session's process, or for the first process and all of them. After SIGKILL for one
  /// the server breaks all sessions, with 57P02 in a warning, and recovers; those who come meanwhile get 57P03.
  void signal_backend(pid_t backend, int number) const;
  void signal_all(int number) const;

  /// What the server has written since the cluster was made, at most the last 64 KiB.
  std::string log() const;

private:
  struct state;
  std::unique_ptr<state> state_;
};

} // namespace colloquy::test
