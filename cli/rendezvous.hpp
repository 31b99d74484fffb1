// Where the programs of one user that work on one data folder, or on one database, find each other: the first holds the
// lock and has the service, the others pass through its private socket. For a database that was set nothing is written
// into the data folder: the place is in the user's runtime folder, named after the database.
#pragma once

#include "config/settings.hpp"
#include "messages/error.hpp"

#include <filesystem>
#include <optional>

namespace colloquy::cli {

struct rendezvous {
  std::filesystem::path socket;
  std::filesystem::path lock;
};

/// Makes the folder that they lie in. Errors: invalid_request, naming the folder and what is wrong with it.
result<rendezvous> find_rendezvous(const config::settings& settings);

/// Held until it goes, or the process ends.
class rendezvous_lock {
public:
  /// Nothing: another process holds it.
  static std::optional<rendezvous_lock> take(const rendezvous& at);
  rendezvous_lock(rendezvous_lock&& other) noexcept;
  rendezvous_lock& operator=(rendezvous_lock&& other) noexcept;
  ~rendezvous_lock();

private:
  explicit rendezvous_lock(int file)
    : file_(file) {}
  int file_ = -1;
};

} // namespace colloquy::cli
