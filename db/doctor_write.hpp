// A session written and read as the service does it, and rolled back.
#pragma once

#include "db/doctor_facts.hpp"
#include "db/doctor_session.hpp"

#include <string>

namespace colloquy::db::doctor {

/// In one transaction, as colloquy_service and under row level security: claims a writer, writes a session with one
/// event as a batch, reads both back, sees that another tenant does not find them, and rolls back. Takes no lock that
/// anybody else waits for, for every id is new.
write_facts try_writing(session& connection, const std::string& schema, milliseconds limit = probe_limit);

} // namespace colloquy::db::doctor
