// Every setting of Colloquy: one struct that the program reads, and one table that says everything about each member.
#pragma once

#include "messages/error.hpp"

#include <chrono>
#include <cstddef>
#include <filesystem>
#include <functional>
#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <vector>

namespace colloquy::config {

inline constexpr std::size_t kibibyte = 1024;
inline constexpr std::size_t mebibyte = 1024 * kibibyte;
inline constexpr std::size_t gibibyte = 1024 * mebibyte;

enum class log_level { trace, debug, info, warn, error };

/// How a line of the log looks: for people, or an object of JSON a line.
enum class log_format { text, json };

/// How much a connection's encryption proves, as libpq knows it.
enum class ssl_mode { disable, allow, prefer, require, verify_ca, verify_full };

/// Which of a host's addresses are tried first; the others are tried after them.
enum class address_family { any, ipv4, ipv6 };

/// What is at the other end of the connection.
enum class connection_type { direct, supavisor_session };

/// As they stand in the file: "warn", "verify-full", "ipv4", "supavisor_session".
std::string_view to_string(log_level level) noexcept;
std::string_view to_string(log_format format) noexcept;
std::string_view to_string(ssl_mode mode) noexcept;
std::string_view to_string(address_family family) noexcept;
std::string_view to_string(connection_type type) noexcept;

/// The settings, each with its default; the table below gives meaning and range. What load() returns without a
/// mistake lies in these ranges, so readers check nothing again.
struct settings {
  std::optional<std::string> database;                ///< nothing: the embedded server. Secret: holds a password
  std::optional<config::ssl_mode> ssl_mode;           ///< nothing: verify-full, but for a host that is local
  std::optional<std::filesystem::path> ssl_root_cert; ///< absolute once loaded, or "system", which libpq 16 knows
  config::address_family address_family = config::address_family::any;
  std::optional<config::connection_type> connection_type;
  std::optional<std::string> supabase_project_ref;
  std::optional<std::string> supabase_url;
  std::optional<std::string> supabase_region;
  std::optional<std::string> supabase_db_password;      ///< secret
  std::optional<std::string> supabase_key;              ///< secret; not used to connect
  std::optional<std::string> supabase_service_role_key; ///< secret; not used to connect
  std::string schema = "public";                        ///< safe inside a quoted SQL identifier
  /// Prefixes of the tables that hold those documents, for databases that have such tables; nothing: Colloquy's own
  /// table holds them. Safe inside a quoted SQL identifier.
  std::optional<std::string> sessions_table_prefix;
  std::optional<std::string> customers_table_prefix;
  std::optional<std::string> context_variables_table_prefix;
  std::filesystem::path data_dir;                        ///< absolute once loaded; empty only if `database` is set
  std::optional<std::filesystem::path> postgres_bin_dir; ///< nothing: the programs are looked for
  std::string embedded_user = "postgres";
  config::log_level log_level = config::log_level::info;
  config::log_format log_format = config::log_format::text;
  std::string application_name = "colloquy-mcp";
  std::string profile; ///< see profile.hpp; what it stands for is in the members already
  std::string pool_mode = "session";
  std::size_t pool_min = 5;  ///< at most pool_max
  std::size_t pool_max = 20; ///< at least 2: a writer holds one, and reading needs another
  std::chrono::milliseconds connect_timeout = std::chrono::seconds{10};
  std::chrono::milliseconds acquire_timeout = std::chrono::seconds{10}; ///< connect_timeout, unless given itself
  std::chrono::milliseconds statement_timeout = std::chrono::seconds{30};
  std::chrono::milliseconds idle_in_transaction_timeout = std::chrono::seconds{60};
  std::chrono::milliseconds lock_timeout = std::chrono::seconds{10};
  std::chrono::milliseconds pool_idle_timeout = std::chrono::minutes{5};
  std::chrono::milliseconds pool_max_lifetime = std::chrono::minutes{30};
  std::chrono::milliseconds health_check_interval = std::chrono::seconds{30};
  std::chrono::milliseconds report_interval = std::chrono::minutes{1};
  std::chrono::milliseconds reconnect_delay_first{100}; ///< at most reconnect_delay_max
  std::chrono::milliseconds reconnect_delay_max = std::chrono::seconds{5};
  std::size_t reconnect_jitter_percent = 25;
  std::chrono::milliseconds keepalive_idle = std::chrono::seconds{10};
  std::chrono::milliseconds tcp_user_timeout = std::chrono::seconds{30};
  std::chrono::milliseconds lease_idle_timeout = std::chrono::minutes{5};
  std::chrono::milliseconds lease_leak_after = std::chrono::minutes{1};
  std::chrono::milliseconds slow_statement_after = std::chrono::seconds{1};
  std::size_t pool_waiters_max = 50'000;
  std::size_t tenant_waiters_max = 10'000; ///< at most pool_waiters_max
  std::size_t tenant_backends_max = 0;     ///< 0: as many as pool_max
  std::size_t pipeline_depth = 2;
  std::size_t statement_cache_max = 256;
  bool monitoring = false;
  std::size_t batch_events_max = 2000;
  std::size_t batch_bytes_max = 4 * mebibyte;
  std::size_t batches_in_flight_max = 2;
  std::size_t undurable_bytes_max = 256 * mebibyte;
  std::size_t tenant_undurable_bytes_max = 128 * mebibyte;
  std::size_t session_undurable_bytes_max = 32 * mebibyte;
  bool journal = false;
  std::optional<std::filesystem::path> journal_path; ///< once loaded, there if `journal` is on, and absolute
  std::size_t journal_bytes_max = 256 * mebibyte;
  std::size_t sessions_resident_max = 1'000'000;
  std::size_t resident_bytes_max = 2048 * mebibyte;
  std::size_t tail_cache_bytes_max = 256 * mebibyte;
  std::chrono::milliseconds session_idle_timeout = std::chrono::minutes{5};
  bool sliding_expiry = false;
  std::chrono::milliseconds expired_retention = std::chrono::hours{30 * 24};
  std::chrono::milliseconds sweep_interval = std::chrono::seconds{5};
  std::size_t turns_queued_max = 64;
  std::chrono::milliseconds request_timeout = std::chrono::seconds{30};
  std::chrono::milliseconds shutdown_timeout = std::chrono::seconds{5};
  bool database_sessions = true;
  std::size_t database_sessions_max = 1000;
  std::size_t tenant_database_sessions_max = 300; ///< at most database_sessions_max
  std::size_t database_backends_max = 15;
  std::size_t tenant_database_backends_max = 0; ///< 0: three quarters of database_backends_max
  std::chrono::milliseconds database_session_idle_timeout = std::chrono::minutes{5};
  std::chrono::milliseconds database_session_lifetime = std::chrono::hours{24};
  std::chrono::milliseconds database_backend_idle_timeout = std::chrono::minutes{1};
  std::string listen = "127.0.0.1:8080";                ///< see listen_address.hpp
  std::optional<std::filesystem::path> tls_certificate; ///< set with tls_key, or neither
  std::optional<std::filesystem::path> tls_key;
  std::optional<std::string> cors_origins;
  std::optional<std::string> admin_key;  ///< secret
  std::optional<std::string> jwt_secret; ///< secret
  std::optional<std::filesystem::path> jwt_jwks_file;
  std::optional<std::string> jwt_issuer;
  std::optional<std::string> jwt_audience;
  std::string jwt_tenant_claim = "tenant";
  std::size_t http_connections_max = 20'000;
  std::size_t tenant_connections_max = 15'000;
  std::size_t http_header_bytes_max = 32 * kibibyte;
  std::size_t body_bytes_max = 16 * mebibyte;
  std::size_t message_bytes_max = 4 * mebibyte;
  std::size_t metadata_bytes_max = 64 * kibibyte;
  std::size_t document_bytes_max = mebibyte;
  std::size_t response_compress_bytes_min = 4 * kibibyte; ///< 0: never
  std::chrono::milliseconds http_request_read_timeout = std::chrono::seconds{30};
  std::chrono::milliseconds http_write_timeout = std::chrono::seconds{30};
  std::chrono::milliseconds http_idle_timeout = std::chrono::seconds{75};
  std::size_t streams_max = 15'000;
  std::string mcp_server_name = "colloquy";
  std::size_t mcp_server_port = 0;                ///< 0: no listener of its own
  std::optional<std::string> mcp_allowed_hosts;   ///< beside the names of this machine
  std::optional<std::string> mcp_allowed_origins; ///< beside the pages of this machine, and cors_origins
  std::optional<std::string> mcp_resource_url;
  std::optional<std::string> mcp_authorization_servers;
  bool access_log = false;
};

enum class setting_kind { text, path, level, count, duration, size };

/// How a value is written under one environment name: as in the file, with its unit, or (names that users bring from
/// elsewhere) as a bare number.
enum class spelling { with_unit, bare_milliseconds, bare_seconds };

struct environment_name {
  std::string name;
  spelling written = spelling::with_unit;

  /// COLLOQUY_...: meant for us, so an empty value counts; other programs' names left empty count as not set.
  bool is_own() const noexcept { return name.starts_with("COLLOQUY_"); }
};

/// What may be shown of a setting: all of it, all but the passwords in a connection string, or nothing.
enum class secrecy { none, connection, whole };

struct setting_descriptor {
  std::string_view name; ///< in the file; the flag is --name with '-' for '_'
  setting_kind kind;
  std::string default_text;                  ///< as it may stand in the file
  std::string allowed;                       ///< the range; expected() makes a phrase of it
  std::string_view meaning;                  ///< one sentence
  std::vector<environment_name> environment; ///< the first that is set wins; our own name is always the first
  secrecy secret = secrecy::none;            ///< unless none, shown only through shown_value()

  /// Checks the text and sets the member; on failure the member is as it was, and the message is what is allowed
  /// ("a whole number, 1 to 1000"), without the value, which may be secret.
  std::function<result<void>(settings&, std::string_view, spelling)> read;
  /// The member as it may stand in the file. Secrets are NOT hidden.
  std::function<std::string(const settings&)> write;
};

/// The table, in the order of the struct. Made once; thread-safe.
std::span<const setting_descriptor> descriptors();

/// By the name in the file; nullptr if there is none.
const setting_descriptor* find_setting(std::string_view name);

/// True for every environment name that some setting is read from.
bool is_environment_name(std::string_view name);

/// Kind and range as one phrase: "a duration with its unit (ms, s, min or h), 100ms to 10min".
std::string expected(const setting_descriptor& descriptor);

/// A text of this setting as it may be shown, whether it could be read or not.
std::string shown_text(const setting_descriptor& descriptor, std::string_view text);

/// The member as it may be logged: passwords and keys hidden.
std::string shown_value(const setting_descriptor& descriptor, const settings& values);

} // namespace colloquy::config
