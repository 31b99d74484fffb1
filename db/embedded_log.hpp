// The server's own log, `postgres.log` in the data folder, kept from growing without end.
#pragma once

#include <memory>
#include <string>

#include "db/embedded_cluster.hpp"
#include "db/embedded_files.hpp"
#include "messages/error.hpp"

namespace colloquy::db::embedded {

class server_log {
public:
  /// Appends to the log that is there; of one that is too large only the end is kept, in `postgres.log.1`.
  static result<server_log> open(const data_folder& data);

  int descriptor() const noexcept { return file_.get(); }
  /// What was written since the log was opened, at most the last 4 KiB of it.
  std::string since_open() const;
  /// Moves the end of a log that is too large into `postgres.log.1` and empties it; the server goes on appending.
  void trim() const;

private:
  unique_fd folder_;
  unique_fd file_;
  off_t opened_at_ = 0;
};

} // namespace colloquy::db::embedded
