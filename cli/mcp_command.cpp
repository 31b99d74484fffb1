#include "cli/mcp_command.hpp"

#include "cli/exit_code.hpp"
#include "cli/line_relay.hpp"
#include "cli/mcp_host.hpp"
#include "cli/rendezvous.hpp"
#include "cli/signals.hpp"
#include "gateway/json_writer.hpp"
#include "gateway/mcp_lines.hpp"
#include "gateway/mcp_message.hpp"

#include <spdlog/spdlog.h>

#include <cstring>
#include <iostream>
#include <memory>
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>

namespace colloquy::cli {
namespace {

using namespace std::chrono_literals;

/// For the process that holds the folder to be reached, or to be gone.
constexpr auto join_max = 60s;
constexpr auto join_grain = 50ms;

int say_and_fail(const error& why) {
  std::cerr << "colloquy: " << why.message << '\n';
  return exit_code_of(why);
}

/// -1: nobody listens there.
int connect_to(const std::filesystem::path& path) {
  const int file = ::socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);
  sockaddr_un address{};
  address.sun_family = AF_UNIX;
  const auto text = path.string();
  if (file < 0 || text.size() >= sizeof address.sun_path) {
    ::close(file);
    return -1;
  }
  std::memcpy(address.sun_path, text.c_str(), text.size() + 1);
  if (::connect(file, reinterpret_cast<const sockaddr*>(&address), sizeof address) != 0) {
    ::close(file);
    return -1;
  }
  return file;
}

/// A way to a service: one that is there, or one of our own.
class way {
public:
  way(const config::settings& settings, const rendezvous& at, signal_watch& signals, const line_relay& relay)
    : settings_(settings)
    , at_(at)
    , signals_(signals)
    , relay_(relay) {}

  /// A connected socket; -1: told to end, or nobody is there any more to be served. Errors: of mcp_host::start.
  result<int> find() {
    const auto until = std::chrono::steady_clock::now() + join_max;
    while (!signals_.received() && relay_.has_client()) {
      if (const int file = connect_to(at_.socket); file >= 0)
        return file;
      if (!host_)
        if (auto problem = try_host())
          return *problem;
      if (!host_ && std::chrono::steady_clock::now() >= until)
        return error{error_code::conflict,
                     "another process holds " + at_.lock.string() + ", and nobody answers at " + at_.socket.string()};
      if (!host_)
        signals_.wait_for(std::chrono::duration_cast<std::chrono::milliseconds>(join_grain));
    }
    return -1;
  }

  bool stop() { return host_ == nullptr || host_->stop(); }

private:
  std::optional<error> try_host() {
    auto lock = rendezvous_lock::take(at_);
    if (!lock)
      return std::nullopt;
    auto started = mcp_host::start(settings_, at_, std::move(*lock));
    if (started) {
      host_ = std::move(*started);
      return std::nullopt;
    }
    // The folder is held by one that is just beginning, or ending.
    if (started.failure().code == error_code::conflict)
      return std::nullopt;
    return started.failure();
  }

  const config::settings& settings_;
  const rendezvous& at_;
  signal_watch& signals_;
  const line_relay& relay_;
  std::unique_ptr<mcp_host> host_;
};

} // namespace

int run_mcp(const config::settings& settings) {
  signal_watch signals; // first: every thread made later leaves the signals to it
  auto at = find_rendezvous(settings);
  if (!at)
    return say_and_fail(at.failure());
  std::string name;
  gateway::json_writer(name).open_object().member("name", settings.mcp_server_name).close_object();
  line_relay relay(STDIN_FILENO, STDOUT_FILENO,
                   {.line_bytes_max = settings.body_bytes_max,
                    .greeting = gateway::mcp::write_call(gateway::mcp::naming_method, name)});
  way to(settings, *at, signals, relay);
  for (;;) {
    auto socket = to.find();
    if (!socket) {
      relay.refuse_all(socket.failure());
      return say_and_fail(socket.failure());
    }
    if (*socket < 0)
      break;
    const auto end = relay.run(*socket, [&] { return signals.received(); });
    if (end != relay_end::socket_lost)
      break;
    spdlog::info("the process that had the service has ended; looking for another");
  }
  return to.stop() ? exit_done : exit_failed;
}

} // namespace colloquy::cli
