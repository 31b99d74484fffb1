// Between here and the server's door: names, addresses, connecting. Blocking, within a deadline.
#pragma once

#include "db/doctor_facts.hpp"
#include "db/endpoint.hpp"

#include <string>
#include <vector>

namespace colloquy::db::doctor {

/// The A and the AAAA records of every host in the string, all asked for at once. `conninfo` is one that
/// prepare_endpoint has filled in. A host that comes from a service file is not known and not looked up.
name_facts look_up(const std::string& conninfo, milliseconds limit = probe_limit);

/// Connects to every address, all at once, and closes again.
reach_facts reach(const name_facts& names, milliseconds limit = probe_limit);

/// The same connection by way of the open doors alone, those of the preferred family first, with their addresses beside
/// the names, so that libpq looks nothing up. As it is where no door was tried. A secret.
std::string through_open_doors(const std::string& conninfo, const reach_facts& reached, address_preference preferred);

/// Waits for `events` of poll() on the descriptor; false at the deadline.
bool wait_for_socket(int fd, short events, std::chrono::steady_clock::time_point deadline);

/// A socket that is connected, or -1 with `why` set. Never blocks beyond the deadline.
int connect_door(const door_facts& door, std::chrono::steady_clock::time_point deadline, std::string& why);

} // namespace colloquy::db::doctor
