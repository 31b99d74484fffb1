// A service inside a program that speaks the Model Context Protocol: database, actors, and the private socket that it
// and others of this user reach it by. It begins at once; what the database needs until it is there, and why it may not
// be, is told to whoever calls.
#pragma once

#include "cli/rendezvous.hpp"
#include "config/settings.hpp"
#include "messages/error.hpp"

#include <memory>

namespace colloquy::cli {

class mcp_host {
public:
  /// `lock` is the rendezvous'. Blocks while the embedded server starts. Errors: of open_database and server::start.
  static result<std::unique_ptr<mcp_host>> start(const config::settings& settings, const rendezvous& at,
                                                 rendezvous_lock lock);
  mcp_host(const mcp_host&) = delete;
  mcp_host& operator=(const mcp_host&) = delete;
  /// As stop().
  ~mcp_host();

  /// Takes no more, makes durable what was accepted, ends the server. False: something was lost or took too long.
  bool stop();

private:
  struct parts;
  explicit mcp_host(std::unique_ptr<parts> all);
  std::unique_ptr<parts> parts_;
};

} // namespace colloquy::cli
