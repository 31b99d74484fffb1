// The PostgreSQL that the load works on: a cluster of our own, to be killed, or one that is given and left alone.
#pragma once

#include "tests/support/own_cluster.hpp"

#include <csignal>
#include <optional>
#include <string>

namespace colloquy::checker {

class watched_server {
public:
  /// Of our own. Throws std::runtime_error.
  watched_server() { own_.emplace(); }
  /// One that is migrated. `look` sees all rows, whatever row level security says.
  watched_server(std::string service, std::string look)
    : service_(std::move(service))
    , look_(std::move(look)) {}

  bool can_be_killed() const { return own_.has_value(); }
  /// Over the unix socket, without a password.
  std::string service_conninfo() const {
    return own_ ? "host='" + own_->socket_dir() + "' user=colloquy dbname=colloquy" : service_;
  }
  std::string look_conninfo() const { return own_ ? own_->superuser_conninfo() : look_; }

  /// Returns at once: `group` kills all its processes, else they are told to break off.
  void kill(bool group) { group ? own_->signal_all(SIGKILL) : own_->signal_backend(own_->pid(), SIGQUIT); }
  /// Returns when it takes connections again.
  void start_again() {
    own_->stop(test::stop_kind::killed);
    own_->start();
  }

private:
  std::optional<test::own_cluster> own_;
  std::string service_;
  std::string look_;
};

} // namespace colloquy::checker
