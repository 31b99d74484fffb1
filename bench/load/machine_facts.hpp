// What a result depends on, for whoever reads it elsewhere.
#pragma once

#include <string>
#include <utility>
#include <vector>

namespace colloquy::load {

/// Name and value, in order.
using facts = std::vector<std::pair<std::string, std::string>>;

/// Kernel, processor, cores, memory, and how busy it is now; not the name of the host.
facts machine_facts();

/// Version and settings of the server, as that login sees them; durable and row_level_security among them. Empty if it
/// cannot be reached.
facts server_facts(const std::string& conninfo, const std::string& schema);

/// The server's first process, if it runs on this machine and is reached by a socket here; else 0.
int local_server_pid(const std::string& conninfo);

} // namespace colloquy::load
