// Behind db/symptoms.hpp: TLS, the network, and what is said of statements, in the order in which it is
// searched after db/symptoms_admission.hpp; for symptoms.cpp alone.
#pragma once

#include "db/symptoms.hpp"

namespace colloquy::db::tables {

using kind = failure_kind;
using trouble = connect_trouble;

/// libpq's words about TLS, and about how to log in.
inline constexpr symptom transport[] = {
    {"tls-wrong-name", "", "does not match host name", kind::fault, trouble::certificate,
     "The certificate is for another host: connect by a name that is in it.", "database",
     "openssl s_client -starttls postgres -connect HOST:5432 </dev/null | openssl x509 -noout -text"},
    {"tls-root-missing", "", "root certificate file|could not read root certificate|to locate root certificate file",
     kind::fault, trouble::certificate,
     "The file of trusted authorities is missing or unreadable: set ssl_root_cert (SSL_CERT_PATH) to one that exists.",
     "ssl_root_cert", "ls -l \"$SSL_CERT_PATH\""},
    {"tls-expired", "", "certificate has expired|certificate is not yet valid|certificate expired", kind::fault,
     trouble::certificate,
     "The server's certificate is not valid at this time: renew it on the server, or correct this machine's clock.", "",
     "openssl s_client -starttls postgres -connect HOST:5432 </dev/null | openssl x509 -noout -dates"},
    {"tls-unknown-authority", "", "certificate verify failed|self-signed certificate|unable to get local issuer",
     kind::fault, trouble::certificate,
     "No authority that is trusted here has signed the server's certificate, or it has expired: set SSL_CERT_PATH (or "
     "ssl_root_cert) to the authority's certificate (Supabase: Database settings, SSL configuration).",
     "ssl_root_cert",
     "openssl s_client -starttls postgres -connect HOST:5432 </dev/null | openssl x509 -noout -issuer -dates"},
    {"tls-not-offered", "", "server does not support SSL", kind::fault, trouble::certificate,
     "The server has no TLS: turn it on there (ssl = on), or set ssl_mode to disable if the way to it is safe "
     "otherwise.",
     "ssl_mode", "psql -c 'SHOW ssl'"},
    {"tls-channel-binding", "", "channel binding", kind::fault, trouble::certificate,
     "Channel binding is required and the other end cannot give it (poolers mostly cannot): take "
     "channel_binding=require "
     "out of the connection string, and keep ssl_mode at verify-full.",
     "database", "env | grep ^PG"},
    {"tls-client-certificate", "",
     "valid client certificate|alert certificate required|private key file|could not read certificate file",
     kind::fault, trouble::certificate,
     "The server asks for a certificate of ours, or the one given cannot be read: name readable files with sslcert and "
     "sslkey in the connection string.",
     "database", "ls -l ~/.postgresql"},
    {"password-method", "", "authentication method|SASL authentication mechanisms", kind::fault, trouble::credentials,
     "The server asks for a proof that this libpq cannot give: let it use scram-sha-256.", "database",
     "psql -c 'SHOW password_encryption'"},
};

/// libpq's words about the way to the server, and a few of ours. Not TLS: a connection that ends says so in its words.
inline constexpr symptom network[] = {
    {"only-ipv6", "", "has only IPv6 addresses", kind::wait, trouble::network,
     "This machine may have no IPv6: use the session pooler, which has IPv4 (Supabase: connection_type = "
     "supavisor_session, or the IPv4 add-on).",
     "connection_type", "getent ahosts HOST"},
    {"host-not-found", "",
     "could not translate host name|cannot find the database's host|Name or service not known|failure in name "
     "resolution",
     kind::wait, trouble::network,
     "The host's name has no address here: check its spelling (Supabase: project and region, and that the project is "
     "not "
     "paused) and this machine's DNS.",
     "database", "getent ahosts HOST"},
    {"socket-missing", "", "Is the server running locally|failed: No such file or directory", kind::wait,
     trouble::network,
     "There is no server's socket in this folder: start the server, or correct host in the connection "
     "string.",
     "database", "pg_lsclusters"},
    {"connection-refused", "", "Connection refused", kind::wait, trouble::network,
     "Nobody listens on this host and port: start the server, correct the port, or open the firewall.", "database",
     "pg_isready -h HOST -p PORT"},
    {"connect-timeout", "", "timeout expired|Connection timeout|no answer within", kind::wait, trouble::network,
     "Nobody answered in time: see that a firewall lets port 5432 out and that the host is up, or raise "
     "connect_timeout "
     "for a slow way.",
     "connect_timeout", "pg_isready -h HOST -p PORT -t 10"},
    {"connection-timed-out", "", "Connection timed out|Operation timed out", kind::connection_lost, trouble::network,
     "The other end stopped answering: look at the network between; tcp_user_timeout says when that is found out.",
     "tcp_user_timeout", "colloquy doctor"},
    // After the others: one of a host's addresses may be unreachable, and another one tell what is wrong.
    {"network-unreachable", "", "Network is unreachable|No route to host|Cannot assign requested address", kind::wait,
     trouble::network,
     "There is no way to this address: a direct Supabase host has IPv6 only, so without IPv6 here use the session "
     "pooler "
     "(connection_type = supavisor_session), else look at routes and firewalls.",
     "connection_type", "getent ahosts HOST; ip -6 route"},
    {"not-postgres", "", "expected authentication request from server|invalid response to SSL negotiation", kind::fault,
     trouble::other, "What answers on this host and port is not PostgreSQL: correct them in the connection string.",
     "database", "pg_isready -h HOST -p PORT"},
    {"not-a-connection-string", "", "connection string cannot be read|invalid connection option|missing \"=\" after",
     kind::fault, trouble::credentials,
     "The connection string cannot be read: special characters of a password must be percent-encoded in a URI, or "
     "quoted "
     "in key=value pairs.",
     "database", "colloquy doctor"},
};

/// What ends a statement or a session. With their words, because a dying connection gives these without SQLSTATE.
inline constexpr symptom statements[] = {
    {"pool-saturated", "", "no free connection within|wait for a connection|wait for a lease|waiting for connections",
     kind::wait, trouble::none,
     "Everybody waits for a connection of the pool: raise pool_max as far as the server allows, make statements "
     "shorter, "
     "and see whether somebody holds leases without using them.",
     "pool_max", "colloquy doctor --advise"},
    {"administrator-ended-it", "57P01", "due to administrator command", kind::connection_lost, trouble::starting_up,
     "The server was stopped or restarted, or somebody ended this backend: the connection is replaced by itself.", "",
     "pg_isready"},
    {"server-crashed", "57P02", "crash of another server process", kind::connection_lost, trouble::starting_up,
     "Another backend crashed and the server restarts all of them: read its log (memory, mostly).", "",
     "journalctl -k --grep 'Out of memory'"},
    {"idle-in-transaction-timeout", "25P03", "idle-in-transaction timeout", kind::connection_lost, trouble::none,
     "A transaction was left open for longer than idle_in_transaction_timeout: do not think between BEGIN and COMMIT, "
     "or "
     "raise it.",
     "idle_in_transaction_timeout", "psql -c \"SELECT * FROM pg_stat_activity WHERE state LIKE 'idle in%'\""},
    {"idle-session-timeout", "57P05", "idle-session timeout", kind::connection_lost, trouble::other,
     "The server closes idle connections (idle_session_timeout): set health_check_interval below that.",
     "health_check_interval", "psql -c 'SHOW idle_session_timeout'"},
    {"transaction-timeout", "25P04", "due to transaction timeout", kind::connection_lost, trouble::none,
     "The server limits how long a transaction lasts (transaction_timeout): make it shorter, or raise that.", "",
     "psql -c 'SHOW transaction_timeout'"},
    {"statement-timeout", "57014", "due to statement timeout", kind::wait, trouble::none,
     "The statement ran for longer than statement_timeout: find out with EXPLAIN what makes it slow, or raise it.",
     "statement_timeout", "psql -c \"SELECT * FROM pg_stat_activity WHERE state = 'active'\""},
    {"cancelled", "57014", "due to user request", kind::wait, trouble::none,
     "Somebody cancelled the statement: a deadline, a caller that gave up, or an administrator.", "request_timeout",
     ""},
    {"lock-timeout", "55P03", "due to lock timeout", kind::retry, trouble::none,
     "Another transaction held a lock for longer than lock_timeout: find out which, and make it shorter.",
     "lock_timeout", "psql -c 'SELECT pid, pg_blocking_pids(pid), query FROM pg_stat_activity'"},
    {"standby-conflict", "40001", "conflict with recovery", kind::retry, trouble::none,
     "A standby cancelled the statement to catch up with its primary: connect to the primary.", "database",
     "psql -c 'SELECT pg_is_in_recovery()'"},
    {"cached-plan", "0A000", "cached plan must not change result type", kind::retry, trouble::none,
     "A table was changed under a prepared statement: it is prepared again by itself.", "", ""},
    {"row-policy", "42501", "row-level security policy", kind::fault, trouble::none,
     "A row's policy refused the write, for the tenant that is set is not the row's: this is a fault of the program, "
     "or "
     "of a policy that was changed by hand.",
     "", "colloquy doctor"},
    {"pgbouncer-query-timeout", "", "query_timeout|query timeout|idle transaction timeout", kind::connection_lost,
     trouble::none,
     "PgBouncer ended the connection at a timeout of its own: make query_timeout and idle_transaction_timeout of "
     "pgbouncer.ini longer than statement_timeout and idle_in_transaction_timeout.",
     "statement_timeout", "psql -p 6432 pgbouncer -c 'SHOW CONFIG'"},
    // Last of those with text: libpq adds some of this to whatever ended the connection.
    {"connection-closed", "",
     "server closed the connection unexpectedly|Connection terminated unexpectedly|closed unexpectedly|EOF detected|"
     "unexpected eof|Connection reset by peer|Broken pipe|no connection to the server",
     kind::connection_lost, trouble::network,
     "The other end, or something between, closed the connection: if it happens to idle ones, lower keepalive_idle and "
     "health_check_interval; else read the server's and the pooler's log.",
     "keepalive_idle", "colloquy doctor"},
    {"tls-failed", "", "SSL error:|could not establish SSL|SSL handshake failed", kind::connection_lost,
     trouble::certificate, "The two ends could not agree on TLS: see which versions each allows.", "ssl_mode",
     "openssl s_client -starttls postgres -connect HOST:5432 </dev/null"},
};

/// By SQLSTATE alone: what remains, and what a server says in another language.
inline constexpr symptom sqlstates[] = {
    {"fence", "CQ001", "", kind::fence, trouble::none,
     "Another process or a later epoch of the writer has written first, and this one stops: there is nothing to do "
     "unless "
     "two programs share one process id.",
     "", ""},
    {"too-many-connections", "53300", "", kind::wait, trouble::too_many_connections,
     "The server takes no further connection: lower pool_max here or in the other programs that use it.", "pool_max",
     "colloquy doctor --advise"},
    {"cannot-connect-now", "57P03", "", kind::wait, trouble::starting_up,
     "The server takes no connections now: connecting is tried again by itself.", "reconnect_delay_max", "pg_isready"},
    {"password-refused", "28P01", "", kind::fault, trouble::credentials,
     "User and password do not fit: take the database's password (not an API key) anew from where it was set.",
     "database", "colloquy doctor"},
    {"login-refused", "28000", "", kind::fault, trouble::credentials,
     "The server does not admit this user from here: its log says why, its pg_hba.conf rules it.", "database",
     "psql -c 'SELECT * FROM pg_hba_file_rules'"},
    {"database-unknown", "3D000", "", kind::fault, trouble::credentials,
     "The server has no such database: correct its name in the connection string, or create it.", "database",
     "psql -l"},
    {"backend-ended", "57P01", "", kind::connection_lost, trouble::starting_up,
     "The server ended this backend: the connection is replaced by itself.", "", "pg_isready"},
    {"crash-shutdown", "57P02", "", kind::connection_lost, trouble::starting_up,
     "The server restarts all backends after a crash: read its log.", "", "pg_isready"},
    {"idle-session-ended", "57P05", "", kind::connection_lost, trouble::other,
     "The server closes idle connections (idle_session_timeout): set health_check_interval below that.",
     "health_check_interval", "psql -c 'SHOW idle_session_timeout'"},
    {"idle-transaction-ended", "25P03", "", kind::connection_lost, trouble::none,
     "A transaction was left open for longer than idle_in_transaction_timeout: do not think between BEGIN and COMMIT.",
     "idle_in_transaction_timeout", "psql -c \"SELECT * FROM pg_stat_activity WHERE state LIKE 'idle in%'\""},
    {"transaction-ended", "25P04", "", kind::connection_lost, trouble::none,
     "The server limits how long a transaction lasts (transaction_timeout): make it shorter, or raise that.", "",
     "psql -c 'SHOW transaction_timeout'"},
    {"aborted-transaction", "25P02", "", kind::fault, trouble::none,
     "An earlier statement of this transaction failed: end it with ROLLBACK and begin it anew from its first "
     "statement.",
     "", ""},
    {"read-only", "25006", "", kind::wait, trouble::none,
     "The server is a standby, or has been made read-only (Supabase: because the disk is full): connect to the "
     "primary, "
     "or make room.",
     "database", "psql -c 'SHOW default_transaction_read_only; SELECT pg_is_in_recovery()'"},
    {"serialization", "40001", "", kind::retry, trouble::none,
     "Two transactions met and one was rolled back: it is tried again by itself.", "", ""},
    {"deadlock", "40P01", "", kind::retry, trouble::none,
     "Two transactions waited for each other and one was rolled back: it is tried again; take locks in one order.", "",
     "psql -c 'SELECT deadlocks FROM pg_stat_database'"},
    {"completion-unknown", "40003", "", kind::connection_lost, trouble::none,
     "The server does not know whether the statement was done: look before sending it again.", "", ""},
    {"lock-not-available", "55P03", "", kind::retry, trouble::none, "Another transaction holds the lock: try again.",
     "lock_timeout", "psql -c 'SELECT pid, pg_blocking_pids(pid), query FROM pg_stat_activity'"},
    {"query-cancelled", "57014", "", kind::wait, trouble::none,
     "The statement was cancelled, by a timeout or by somebody.", "statement_timeout", ""},
    {"disk-full", "53100", "", kind::wait, trouble::none,
     "The server's disk is full: make room or enlarge it; what is accepted is kept in memory until then, up to "
     "undurable_bytes_max.",
     "undurable_bytes_max", "df -h"},
    {"out-of-memory", "53200", "", kind::wait, trouble::none,
     "The server is out of memory: lower pool_max and the server's work_mem, or give it more.", "pool_max", "free -h"},
    {"io-error", "58030", "", kind::wait, trouble::none,
     "The server could not read or write a file: its log names it, and its disk may be failing.", "", "dmesg"},
    {"prepared-statement-exists", "42P05", "", kind::fault, trouble::transaction_mode,
     "A pooler in transaction mode gave us a backend that another client had: use session mode (Supabase: port 5432 "
     "instead of 6543; PgBouncer: pool_mode = session).",
     "database", "colloquy doctor"},
    {"prepared-statement-lost", "26000", "", kind::retry, trouble::none,
     "The server no longer has this prepared statement: it is prepared again by itself; if that goes on, a pooler in "
     "transaction mode is in between.",
     "", "colloquy doctor"},
    {"rights", "42501", "", kind::fault, trouble::none,
     "The role lacks a right: migrate grants what is needed, run as the owner of the tables.", "database",
     "colloquy migrate"},
    {"table-missing", "42P01", "", kind::fault, trouble::none,
     "A table is missing: the schema is not there yet, or schema names another one.", "schema", "colloquy migrate"},
    {"schema-missing", "3F000", "", kind::fault, trouble::none,
     "The schema is missing: set schema to the one that has the tables, or create it.", "schema", "colloquy migrate"},
    {"column-missing", "42703", "", kind::fault, trouble::none,
     "A column is missing, for the tables are of another version than the program.", "schema", "colloquy migrate"},
    {"function-missing", "42883", "", kind::fault, trouble::none,
     "A function is missing: the schema is not there yet, or is of another version than the program.", "schema",
     "colloquy migrate"},
    {"data-corrupted", "XX001", "", kind::fault, trouble::none,
     "The server found damaged data: stop writing, and restore from a backup.", "", "pg_amcheck"},
    {"index-corrupted", "XX002", "", kind::fault, trouble::none,
     "The server found a damaged index: rebuild it with REINDEX.", "", "pg_amcheck"},
    {"bad-value", "22", "", kind::data, trouble::none, "The value itself is refused, and will be again: correct it.",
     "", ""},
    {"constraint", "23", "", kind::data, trouble::none,
     "The row breaks a rule of the table, and will again: correct it.", "", ""},
    {"connection-exception", "08", "", kind::connection_lost, trouble::network,
     "The connection failed between the server, or a pooler, and us: the logs of both say more.", "",
     "colloquy doctor"},
    {"resources", "53", "", kind::wait, trouble::none, "The server is short of something: its log names it.", "",
     "colloquy doctor"},
    {"intervention", "57", "", kind::wait, trouble::none, "Somebody or something intervened at the server: try again.",
     "", "colloquy doctor"},
    {"system-error", "58", "", kind::wait, trouble::none,
     "The server's operating system refused something: the server's log names it.", "", "colloquy doctor"},
    {"internal-error", "XX", "", kind::fault, trouble::other,
     "The server or a pooler has a fault of its own: its log says more.", "", "colloquy doctor"},
};

} // namespace colloquy::db::tables
