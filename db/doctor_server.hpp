// What the server, and a pooler before it, tell about themselves to somebody who is logged in. Each call stays within
// its limit, changes nothing that stays, and fails softly: why is in the facts.
#pragma once

#include "db/doctor_facts.hpp"
#include "db/doctor_session.hpp"
#include "db/pipeline_connection.hpp"

#include <string>

namespace colloquy::db::doctor {

login_facts describe_login(const session& connection, milliseconds took);

/// Opens a second connection beside the first, with the same string, and compares whom the two talk to.
pooling_facts look_at_pooling(session& connection, const std::string& conninfo, bool is_embedded,
                              milliseconds limit = probe_limit);

version_facts look_at_version(session& connection, milliseconds limit = probe_limit);

/// Whether the login may become the two roles that the service works as.
rights_facts look_at_rights(session& connection, milliseconds limit = probe_limit);

/// Sets what every session of the service sets, reads it back in another transaction, and takes it back again.
settings_facts try_settings(session& connection, const connection_target& target, milliseconds limit = probe_limit);

clock_facts compare_clocks(session& connection, milliseconds limit = probe_limit);

/// `application` as read_server_view wants it.
usage_facts look_at_usage(session& connection, const std::string& application, milliseconds limit = probe_limit);

} // namespace colloquy::db::doctor
