// Where this process runs, and whether one that ran elsewhere has ended: so that a successor on the same machine need
// not wait until the shards of its predecessor are free by themselves.
//
// Linux only, from /proc; nothing here blocks or throws. What it finds of the machine is for the database alone and
// never for a log.
#pragma once

#include "db/ownership_queries.hpp"

#include <sys/types.h>

#include <cstdint>
#include <optional>
#include <string_view>

namespace colloquy::actors {

/// Of this process. `machine` is boot id, process namespace and time namespace (start ticks are shown shifted by the
/// latter); "" if one of them is unknown or /proc is that of another namespace: then nobody can tell of us.
db::process_place own_process_place();

/// The same of another process of our namespaces; pid 0 if there is none.
db::process_place place_of_process(pid_t pid);

/// True only if it is certain that the process there can do nothing any more: same machine and namespaces, and that pid
/// is gone, is only waiting to be reaped, or belongs to a process that started at another time. False if in doubt.
/// Cloned virtual machines that kept one boot id look like one machine: there a living owner may lose its shards early,
/// as one that is stopped for too long does, and the fence of the writers keeps its batches out.
bool has_ended(const db::process_place& place);

/// What a line of /proc/<pid>/stat says; none if it is not understood.
struct process_stat {
  char state = '?';
  std::int64_t threads = 0;
  std::int64_t started_ticks = 0;
};
std::optional<process_stat> parse_process_stat(std::string_view line);

} // namespace colloquy::actors
