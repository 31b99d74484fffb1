// The data folder and the cluster in it: who owns them, what they hold, making a new one.
#pragma once

#include <cstdint>
#include <filesystem>
#include <optional>
#include <string>

#include "db/embedded_files.hpp"
#include "db/embedded_process.hpp"
#include "messages/error.hpp"

namespace colloquy::db::embedded {

/// The data folder, open and locked: as long as this lives, no other process takes it.
struct data_folder {
  std::filesystem::path path; ///< absolute
  unique_fd folder;
  unique_fd lock; ///< holds our process id for the one who is refused
};

/// Makes the folder if there is none. Refuses at once if another process holds it (conflict).
result<data_folder> open_data_folder(const std::filesystem::path& path);

/// The cluster's folder `postgres`, if it is there.
struct cluster {
  unique_fd folder;
  int major = 0;
  uid_t owner = 0;
};
result<std::optional<cluster>> open_cluster(const data_folder& data);

/// The user that the server runs as: nothing if it is us, else (we are root) the cluster's owner or, for a new one, the
/// user of that name.
result<std::optional<os_user>> choose_user(const std::optional<cluster>& existing, const std::filesystem::path& path,
                                           const std::string& name);

/// Fails if there is less than `needed` free.
result<void> check_space(const data_folder& data, std::uint64_t needed);

/// Makes `postgres.new` with initdb and, when it is complete and on disk, calls it `postgres`. What a run that was
/// killed here has left is removed first. Blocks for about a second.
result<cluster> make_cluster(const data_folder& data, const std::filesystem::path& initdb,
                             const std::optional<os_user>& run_as, steady_time deadline);

/// Writes who may log in, which is the operating system's user that we are and nobody else, makes the socket's folder
/// empty, and removes the note of a server that is gone. Returns the socket's folder.
result<unique_fd> prepare_cluster(const data_folder& data, const cluster& c, const std::optional<os_user>& run_as);

/// The end of a failed program's words, made fit for one sentence; and whether the disk is what failed.
error explain_failure(const data_folder& data, const std::string& what, const std::string& words);

} // namespace colloquy::db::embedded
