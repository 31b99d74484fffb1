// What a run that ended badly has left behind: servers that still stop, and their notes.
#pragma once

#include <chrono>
#include <filesystem>

#include "db/embedded_process.hpp"
#include "messages/error.hpp"

namespace colloquy::db::embedded {

/// On the command line of every server of ours, followed by our process id: a server that lacks it is somebody else's
/// and is never signalled.
inline constexpr const char* owner_setting = "colloquy.owner_pid=";

/// Waits until no server works in the cluster any more. One of ours that lost its owner stops by itself; after
/// `patience` it is made to. One whose owner lives, or that is not ours, is refused (conflict) and left alone.
result<void> await_previous_server(int cluster_folder, const std::filesystem::path& path,
                                   std::chrono::milliseconds patience);

/// Ends what an initdb that lost its owner has left running in this folder, which nobody but us can have made.
void end_unfinished_initdb(int folder);

} // namespace colloquy::db::embedded
