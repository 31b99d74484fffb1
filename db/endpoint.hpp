// What a connection string leaves open is filled in, safely; and who answers at the other end.
#pragma once

#include "db/resolve.hpp"
#include "messages/error.hpp"

#include <chrono>
#include <cstddef>
#include <cstdint>
#include <filesystem>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

namespace colloquy::db {

/// Who answers.
enum class endpoint_kind { embedded, direct, supavisor, pgbouncer };

/// For how long a client keeps one backend. A server without a pooler counts as session.
enum class pooling_mode { session, transaction };

std::string_view to_string(endpoint_kind kind) noexcept;
std::string_view to_string(pooling_mode mode) noexcept;

struct endpoint_options {
  std::string conninfo{};                ///< a URI or key=value pairs; what it says itself is never changed
  std::optional<std::string> ssl_mode{}; ///< one of libpq's, or nothing
  std::filesystem::path ssl_root_cert{}; ///< a file, or "system"; empty for none
  address_preference preferred = address_preference::any; ///< for resolve_hosts, which is the caller's to call
  std::chrono::milliseconds keepalive_idle{10'000};       ///< rounded up to seconds; 0 leaves it to the system
  std::chrono::milliseconds tcp_user_timeout{30'000};     ///< 0 leaves it to the system
};

struct endpoint {
  std::string conninfo;              ///< key=value pairs; a secret
  std::string shown;                 ///< user@host:port/database, with a comma between hosts; no secret
  std::vector<std::string> warnings; ///< sentences for the log and for doctor; no secrets
};

/// Fills in what the string leaves open:
/// - host, port, user and database of libpq's environment, so that they can be shown and looked up
/// - sslmode: ssl_mode, else PGSSLMODE, else verify-full if any host is not local (sockets, loopback, localhost)
/// - sslrootcert, where the certificate is verified: ssl_root_cert, else PGSSLROOTCERT, SSL_CERT_PATH,
///   ~/.postgresql/root.crt, else the system's bundle; "system" means the bundle, which libpq 15 cannot find itself
/// - gssencmode=disable, keepalives and tcp_user_timeout
/// Startup options for Supabase's pooler, which drops them, are left out. Nothing is looked up and nobody is asked.
/// Errors: invalid_request for a string that cannot be read (without its words), or a sslmode that there is not.
result<endpoint> prepare_endpoint(const endpoint_options& options);

/// A server that answers itself reports the process id that its backend has; poolers make one up. `user` is that of
/// the connection string: Supavisor's is NAME.PROJECT.
endpoint_kind guess_kind(std::string_view host, std::string_view user, std::int32_t reported_pid,
                         std::int32_t backend_pid) noexcept;

/// A sentence: what transaction mode loses, and what to use instead of it, with the port.
std::string explain_transaction_mode(endpoint_kind kind, std::string_view host, std::string_view port);

/// The user that libpq logs in with, as far as string and environment say; else empty. Empty too for a bad string.
std::string user_of(const std::string& conninfo);

/// How many entries libpq tries in turn; one at least.
std::size_t host_count(const std::string& conninfo);

/// The same with entry `first` (counted from 0, and round again) at the head of the list and the others behind it in
/// their order; host, hostaddr and port together. A string that cannot be read comes back as it is.
std::string rotate_hosts(const std::string& conninfo, std::size_t first);

} // namespace colloquy::db
