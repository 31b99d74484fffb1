// What `colloquy doctor` finds out about the way to a database and about the database itself: facts alone. Whether they
// are good or bad is judged elsewhere, and so can be tested with facts that were made up.
//
// No text here holds a password or a key. Times are of the monotonic clock unless said.
#pragma once

#include "db/endpoint.hpp"
#include "db/failure.hpp"
#include "db/migrator.hpp"

#include <chrono>
#include <cstddef>
#include <cstdint>
#include <optional>
#include <string>
#include <vector>

namespace colloquy::db::doctor {

using std::chrono::milliseconds;

/// The most that one probe may take.
inline constexpr milliseconds probe_limit{5000};

/// One host of the connection string, and what the name service says of it.
struct host_facts {
  std::string host;              ///< as it stands in the string; empty for libpq's own socket
  std::string port;              ///< "5432" where the string is silent
  bool is_name = false;          ///< looked up; else an address in figures, or a socket
  std::vector<std::string> ipv4; ///< A records; the address itself where it is given in figures
  std::vector<std::string> ipv6; ///< AAAA records
  std::string ipv4_failure;      ///< why there is no A record; empty where there is one, or nothing was asked
  std::string ipv6_failure;
};

struct name_facts {
  std::vector<host_facts> hosts;
  milliseconds took{0};
};

enum class address_family { ipv4, ipv6, unix_socket };

/// One address, and whether anybody listens there.
struct door_facts {
  std::string host; ///< the name that led to it
  std::string port;
  std::string address; ///< in figures; for a socket its folder
  address_family family = address_family::ipv4;
  std::string failure; ///< empty: it is open
  bool timed_out = false;
  milliseconds took{0};

  bool is_open() const noexcept { return failure.empty(); }
};

struct reach_facts {
  std::vector<door_facts> doors;
  milliseconds took{0};
};

/// What the server's certificate says; times as seconds since 1970.
struct certificate_facts {
  std::string subject;
  std::string issuer;
  std::vector<std::string> names; ///< DNS names and addresses that it is for
  std::int64_t valid_from = 0;
  std::int64_t valid_until = 0;
};

struct tls_facts {
  std::string host;
  std::string port;
  std::string address;
  std::string mode;              ///< libpq's sslmode; "prefer" where the string is silent
  std::string authorities;       ///< the file that certificates are held against; empty where there is none
  bool checks_authority = false; ///< libpq will refuse an unknown one
  bool checks_name = false;      ///< libpq will refuse another name
  bool offered = false;          ///< the server answered yes to SSLRequest
  std::string failure;           ///< why there is nothing more to say: no answer, no TLS between us
  std::string version;           ///< "TLSv1.3"; empty unless the handshake was done
  std::string cipher;
  std::optional<certificate_facts> certificate;
  std::string authorities_failure; ///< why the file could not be read
  bool authority_known = false;
  bool in_time = false; ///< not expired, and valid already
  bool name_fits = false;
  std::string other_fault; ///< what else is wrong with the chain
  std::int64_t now = 0;    ///< seconds since 1970 when it was looked at
  milliseconds took{0};
};

struct login_facts {
  std::optional<db_failure> failure;
  std::string user; ///< as the server calls us
  std::string database;
  bool uses_tls = false;
  milliseconds took{0};
};

struct pooling_facts {
  std::optional<db_failure> failure; ///< of the first connection
  std::string host;
  std::string port;
  endpoint_kind kind = endpoint_kind::direct;
  std::int32_t reported_pid = 0;
  std::int32_t backend_pid = 0;
  bool second_shares_backend = false;       ///< while both live
  bool backend_changes = false;             ///< between transactions of one connection
  std::optional<db_failure> second_failure; ///< of the second connection

  bool pools_by_transaction() const noexcept { return second_shares_backend || backend_changes; }
};

struct version_facts {
  std::optional<db_failure> failure;
  int number = 0;   ///< as 150006
  std::string text; ///< as the server says it
  std::string encoding;
  bool in_recovery = false;
  bool read_only = false; ///< default_transaction_read_only
};

struct role_facts {
  std::string name;
  bool exists = false;
  bool reachable = false; ///< the login may SET ROLE to it
};

struct rights_facts {
  std::optional<db_failure> failure;
  std::string login;
  bool is_superuser = false;
  std::vector<role_facts> roles;
};

struct setting_facts {
  std::string name;
  std::string wanted;
  std::string applied;   ///< what the server made of it
  std::string read_back; ///< in the next transaction
};

struct settings_facts {
  std::optional<db_failure> failure;
  std::vector<setting_facts> settings;
};

struct clock_facts {
  std::optional<db_failure> failure;
  milliseconds ahead{0};       ///< the server's clock less ours
  milliseconds uncertainty{0}; ///< half of the round trip
};

struct usage_facts {
  struct of_state {
    std::string state; ///< the server's word; "not visible" for those that our login may not look into
    std::int64_t count = 0;
    milliseconds longest{0};
  };
  std::optional<db_failure> failure;
  std::int64_t max_connections = 0;
  std::int64_t superuser_reserved = 0;
  std::int64_t reserved = 0; ///< from PostgreSQL 16 on
  std::int64_t used = 0;     ///< client backends of all databases
  std::int64_t ours = 0;     ///< of these, the asking one and those with our application_name in our database
  std::vector<of_state> states;
  std::int64_t idle_in_transaction = 0;
  milliseconds idle_in_transaction_longest{0};
  std::int64_t long_lived = 0; ///< older than an hour
  milliseconds oldest{0};
  std::int64_t role_limit = -1;     ///< of our login; -1: none
  std::int64_t database_limit = -1; ///< of our database; -1: none

  std::int64_t available() const noexcept { return max_connections - superuser_reserved - reserved; }
};

struct schema_facts {
  std::optional<error> failure;      ///< why the record of migrations could not be read
  std::optional<schema_state> state; ///< what it says
  std::optional<db_failure> catalog_failure;
  std::vector<std::string> missing; ///< as "index idx_sessions_user_id"
  std::vector<std::string> invalid; ///< indexes that the server does not use
  std::size_t expected = 0;         ///< how many things were looked for
};

struct write_facts {
  std::optional<db_failure> failure;
  std::string step;                ///< during which it failed
  bool found_again = false;        ///< what was written was read in the same transaction
  bool hidden_from_others = false; ///< with another tenant set, row level security hid it
  bool rolled_back = false;
  milliseconds took{0};
};

} // namespace colloquy::db::doctor
