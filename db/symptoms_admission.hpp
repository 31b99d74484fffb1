// Behind db/symptoms.hpp: what is said at the door, in the order in which it is searched; for symptoms.cpp alone.
#pragma once

#include "db/symptoms.hpp"

namespace colloquy::db::tables {

using kind = failure_kind;
using trouble = connect_trouble;

/// The server's own words when it lets nobody in. They come with their SQLSTATE, or within libpq's words without it, or
/// handed on by a pooler.
inline constexpr symptom server_while_connecting[] = {
    {"slots-reserved", "53300", "remaining connection slots are reserved", kind::wait, trouble::too_many_connections,
     "Lower pool_max here or in the other programs that use this server, or raise its max_connections (Supabase: a "
     "larger compute tier).",
     "pool_max", "colloquy doctor --advise"},
    {"too-many-clients", "53300", "too many clients already", kind::wait, trouble::too_many_connections,
     "Every slot of the server is taken: lower pool_max, and look for programs that leave connections open.",
     "pool_max", "colloquy doctor"},
    {"role-limit", "53300", "too many connections for role", kind::wait, trouble::too_many_connections,
     "The role has a connection limit of its own: lower pool_max below it, or raise it with ALTER ROLE.", "pool_max",
     "psql -c '\\du'"},
    {"database-limit", "53300", "too many connections for database", kind::wait, trouble::too_many_connections,
     "The database has a connection limit of its own: lower pool_max below it, or raise it with ALTER DATABASE.",
     "pool_max", "psql -c 'SELECT datname, datconnlimit FROM pg_database'"},
    {"recovering", "57P03", "in recovery mode", kind::wait, trouble::starting_up,
     "The server recovers after a crash and takes connections again by itself: wait, and read its log for the cause.",
     "reconnect_delay_max", "pg_isready"},
    {"starting-up", "57P03", "system is starting up|not yet accepting connections", kind::wait, trouble::starting_up,
     "The server is starting: connecting is tried again by itself.", "reconnect_delay_max", "pg_isready"},
    {"shutting-down", "57P03", "system is shutting down", kind::wait, trouble::starting_up,
     "The server is being stopped: connecting is tried again until it is back.", "reconnect_delay_max", "pg_isready"},
    {"hot-standby-off", "57P03", "not accepting connections|hot standby mode is disabled", kind::wait,
     trouble::starting_up, "This server is a standby that answers nobody: name the primary, or all hosts in one list.",
     "database", "pg_isready"},
    {"no-suitable-host", "",
     "session is read-only|session is not read-only|server is in hot standby mode|server is not in hot standby mode",
     kind::wait, trouble::starting_up,
     "No host of the list is what target_session_attrs asks for: add the primary to the list, or wait for the "
     "failover.",
     "database", "colloquy doctor"},
    // Before what pg_hba.conf refuses: with sslmode=prefer libpq tries again without TLS, and adds that refusal.
    {"pgbouncer-server-login", "", "server login has been failing|server_login_retry", kind::wait, trouble::other,
     "PgBouncer itself cannot log in at the server behind it: its log says why, and it tries again after its "
     "server_login_retry.",
     "", "psql -p 6432 pgbouncer -c 'SHOW SERVERS'"},
    {"password-missing", "", "no password supplied|empty password", kind::fault, trouble::credentials,
     "There is no password: put it into the connection string, into PGPASSWORD or into ~/.pgpass.", "database",
     "colloquy doctor"},
    {"password-wrong", "", "password authentication failed|SASL authentication failed|auth failed", kind::fault,
     trouble::credentials,
     "User and password do not fit: take the database's password (not an API key) anew from where it was set, with "
     "special characters percent-encoded in a URI.",
     "database", "colloquy doctor"},
    {"role-missing", "28000", "role \"*\" does not exist", kind::fault, trouble::credentials,
     "The server has no such role: correct the user in the connection string, or create it.", "database",
     "psql -c '\\du'"},
    {"database-missing", "3D000", "database \"*\" does not exist", kind::fault, trouble::credentials,
     "The server has no such database: correct its name in the connection string, or create it.", "database",
     "psql -l"},
    {"role-may-not-log-in", "28000", "is not permitted to log in", kind::fault, trouble::credentials,
     "The role has no LOGIN: name another user in the connection string, or give it with ALTER ROLE ... LOGIN.",
     "database", "psql -c '\\du'"},
    {"no-encryption", "28000", "no encryption|SSL off", kind::fault, trouble::certificate,
     "The server refuses connections without TLS: set ssl_mode to verify-full, or to require where its authority is "
     "unknown.",
     "ssl_mode", "colloquy doctor"},
    {"address-refused", "28000", "no pg_hba.conf entry|pg_hba.conf rejects", kind::fault, trouble::credentials,
     "The server does not admit this address, user and database together: add a line to its pg_hba.conf, or change the "
     "user in the connection string.",
     "database", "psql -c 'SELECT * FROM pg_hba_file_rules'"},
    {"other-authentication", "28000",
     "Peer authentication failed|Ident authentication failed|certificate "
     "authentication failed|GSSAPI authentication failed",
     kind::fault, trouble::credentials,
     "The server wants another proof than a password: connect as the user it expects, or change the method in its "
     "pg_hba.conf.",
     "database", "psql -c 'SELECT * FROM pg_hba_file_rules'"},
    {"connect-right", "42501", "permission denied for database", kind::fault, trouble::credentials,
     "The role may not connect to this database: GRANT CONNECT ON DATABASE to it.", "database", "psql -c '\\l'"},
    {"database-closed", "55000", "is not currently accepting connections", kind::fault, trouble::credentials,
     "The database is closed (as template0 is): name another one in the connection string.", "database",
     "psql -c '\\l'"},
};

/// Supavisor: mostly XX000, with its own code in brackets; and the words of its older versions.
inline constexpr symptom supavisor[] = {
    {"supavisor-session-pool-full", "",
     "(EMAXCONNSESSION)|MaxClientsInSessionMode|max clients reached in session mode|in Session mode max clients",
     kind::wait, trouble::too_many_connections,
     "The session pooler gives each client a backend of its own and has none left: keep the sum of pool_max over all "
     "programs below its pool size, or raise that in the dashboard (Database, Connection pooling).",
     "pool_max", "colloquy doctor --advise"},
    {"supavisor-clients-full", "", "(EMAXCONN)|(EMAXCLIENTCONN)|max client connections reached|max proxy connections",
     kind::wait, trouble::too_many_connections,
     "The pooler has as many clients as its compute tier allows: lower pool_max, or take a larger tier.", "pool_max",
     "colloquy doctor --advise"},
    {"supavisor-tenant-not-found", "", "(ENOTFOUND)|(ETENANTNOTFOUND)|Tenant or user not found", kind::fault,
     trouble::credentials,
     "The pooler does not know this project: check that the user is postgres.REF, that region and number in the host's "
     "name (as aws-0-REGION) are the project's, and that it is not paused.",
     "supabase_region", "colloquy doctor"},
    {"supavisor-user-format", "",
     "(ENOIDENTIFIER)|no tenant identifier|(EINVALIDUSERINFO)|Invalid format for user or db_name|(EMULTIPLEUSERS)",
     kind::fault, trouble::credentials,
     "The pooler cannot tell the project from the user's name: it must be postgres.REF, not postgres.", "database",
     "colloquy doctor"},
    {"supavisor-blocked", "", "too many authentication failures", kind::wait, trouble::credentials,
     "After ten wrong logins the pooler blocks this address for two minutes: correct the password, then wait.",
     "database", "colloquy doctor"},
    {"supavisor-circuit-open", "",
     "(ECIRCUITBREAKER)|circuit breaker open|too many failed attempts to connect to the database|failed to retrieve "
     "database credentials",
     kind::wait, trouble::other,
     "The pooler could not reach the project's database and has stopped trying for a while: see in the dashboard "
     "whether the project is paused or overloaded, then wait.",
     "reconnect_delay_max", "colloquy doctor"},
    {"supavisor-banned", "", "(EBANNED)|tenant is banned", kind::fault, trouble::credentials,
     "The provider has locked the project: its dashboard or support says why.", "", ""},
    {"supavisor-address-refused", "", "(EADDRNOTALLOWED)|address not in tenant allow_list", kind::fault,
     trouble::credentials,
     "The project's network restrictions do not admit this machine's address: add it in the dashboard (Database, "
     "Network restrictions).",
     "", "colloquy doctor"},
    {"supavisor-tls-required", "", "(ESSLREQUIRED)|SSL connection is required", kind::fault, trouble::certificate,
     "The project takes encrypted connections only: set ssl_mode to verify-full.", "ssl_mode", "colloquy doctor"},
    {"supavisor-checkout-timeout", "",
     "(ECHECKOUTTIMEOUT)|(ECHECKOUTRETRIES)|(ECHECKOUTFAILED)|(EPOOLCHECKOUT)|unable to check out", kind::wait,
     trouble::too_many_connections,
     "No backend of the pooler became free in time: lower pool_max, end long transactions, or raise the pooler's size.",
     "pool_max", "colloquy doctor --advise"},
    {"supavisor-auth-query", "",
     "(EAUTHQUERY)|(EAUTHSECRETS)|(EJITREQUESTFAILED)|failed to retrieve authentication secrets|authentication query "
     "failed",
     kind::wait, trouble::other,
     "The pooler could not ask the database for this user's password: the database is down, paused or full, or has no "
     "such user.",
     "database", "colloquy doctor"},
    {"supavisor-auth-timeout", "", "(EAUTHTIMEOUT)|timeout while waiting for message", kind::wait, trouble::network,
     "Logging in took longer than the pooler waits: look for a slow network or an overloaded machine.",
     "connect_timeout", "colloquy doctor"},
    {"supavisor-backend-lost", "",
     "(EDBHANDLEREXITED)|DbHandler exited|(EPOOLTERMINATING)|connection to database closed", kind::connection_lost,
     trouble::starting_up,
     "The pooler lost its backend, mostly because the database was restarted: the connection is replaced by itself, "
     "and "
     "only what may be done twice is sent again.",
     "", "colloquy doctor"},
    {"supavisor-transaction-mode", "",
     "(EPSSIMPLEQUERY)|(EMAXPREPARED|transaction mode only supports prepared|max prepared statements", kind::fault,
     trouble::transaction_mode,
     "This is the pooler's transaction mode: use its session mode, port 5432 instead of 6543.", "database",
     "colloquy doctor"},
    {"supavisor-internal", "",
     "(EPROXY|(ESUBSCRIBERETRIES)|(EWORKERNOTFOUND)|(EPOOLCONFIGNOTFOUND)|(EPOOLRANCHNOTFOUND)|(EMAXPOOLSREACHED)|"
     "failed "
     "to subscribe to tenant|Internal error (",
     kind::connection_lost, trouble::other,
     "The pooler has a fault of its own: it is tried again, and if it lasts the provider's status page says more.",
     "reconnect_delay_max", "colloquy doctor"},
};

/// PgBouncer: 08P01 for nearly everything.
inline constexpr symptom pgbouncer[] = {
    {"pgbouncer-clients-full", "", "no more connections allowed|client connections exceeded", kind::wait,
     trouble::too_many_connections,
     "PgBouncer has as many clients as it may: raise its max_client_conn (or the limit of user or database), or lower "
     "pool_max.",
     "pool_max", "psql -p 6432 pgbouncer -c 'SHOW CLIENTS'"},
    {"pgbouncer-wait-timeout", "", "query_wait_timeout", kind::wait, trouble::too_many_connections,
     "PgBouncer had no backend free within its query_wait_timeout: in session mode its default_pool_size must be at "
     "least the sum of pool_max over all programs.",
     "pool_max", "psql -p 6432 pgbouncer -c 'SHOW POOLS'"},
    {"pgbouncer-startup-option", "", "unsupported startup parameter|unsupported options startup parameter", kind::fault,
     trouble::credentials,
     "PgBouncer refuses this option when connecting: take it (options, mostly) out of the connection string and out of "
     "PGOPTIONS, or name it in PgBouncer's ignore_startup_parameters.",
     "database", "env | grep ^PG"},
    {"pgbouncer-no-database", "", "no such database|bouncer config error", kind::fault, trouble::credentials,
     "PgBouncer does not know this database: correct the connection string, or add it to [databases] in pgbouncer.ini.",
     "database", "psql -p 6432 pgbouncer -c 'SHOW DATABASES'"},
    {"pgbouncer-no-user", "", "no such user|login rejected", kind::fault, trouble::credentials,
     "PgBouncer does not admit this user: add it to its auth_file or auth_query, or correct the connection string.",
     "database", "psql -p 6432 pgbouncer -c 'SHOW USERS'"},
    {"pgbouncer-server-down", "", "pgbouncer cannot connect to server|(server down)|server DNS lookup failed",
     kind::wait, trouble::network,
     "PgBouncer does not reach the server behind it: see that this runs, and host and port in "
     "pgbouncer.ini.",
     "", "psql -p 6432 pgbouncer -c 'SHOW SERVERS'"},
    {"pgbouncer-server-crashed", "", "server conn crashed", kind::connection_lost, trouble::network,
     "The server behind PgBouncer ended the connection: read the server's log; the connection is replaced by itself.",
     "", "colloquy doctor"},
    {"pgbouncer-client-idle", "", "client_idle_timeout", kind::connection_lost, trouble::other,
     "PgBouncer closes clients that are idle: set health_check_interval below its client_idle_timeout, or take that "
     "away.",
     "health_check_interval", "psql -p 6432 pgbouncer -c 'SHOW CONFIG'"},
    {"pgbouncer-tls-required", "08P01", "SSL required", kind::fault, trouble::certificate,
     "PgBouncer takes encrypted connections only: set ssl_mode to verify-full.", "ssl_mode", "colloquy doctor"},
    {"pgbouncer-statement-mode", "", "transaction blocks not allowed in statement pooling mode", kind::fault,
     trouble::transaction_mode,
     "PgBouncer pools statement by statement: set pool_mode = session in pgbouncer.ini for this database.", "database",
     "psql -p 6432 pgbouncer -c 'SHOW DATABASES'"},
    {"pgbouncer-transaction-mode", "08P01",
     "prepared statement did not exist|prepared statement name is already in use", kind::fault,
     trouble::transaction_mode,
     "PgBouncer gives each transaction another backend: set pool_mode = session in pgbouncer.ini for this database.",
     "database", "psql -p 6432 pgbouncer -c 'SHOW DATABASES'"},
    {"pgbouncer-stopping", "", "pooler is shutting down|server shutting down|admin forced disconnect",
     kind::connection_lost, trouble::starting_up,
     "PgBouncer is being stopped or has been told to drop us: connecting is tried again by itself.",
     "reconnect_delay_max", "colloquy doctor"},
};

} // namespace colloquy::db::tables
