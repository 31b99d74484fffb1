#include "cli/line_relay.hpp"

#include "gateway/mcp_message.hpp"
#include "messages/content.hpp"

#include <algorithm>
#include <array>
#include <cerrno>
#include <poll.h>
#include <sys/socket.h>
#include <unistd.h>
#include <utility>
#include <vector>

namespace colloquy::cli {
namespace {

namespace mcp = gateway::mcp;

constexpr std::size_t read_bytes = 64 * 1024;
constexpr std::size_t write_bytes = 4096; // what a pipe that can be written to takes without waiting
constexpr std::size_t to_service_max = std::size_t{32} << 20;
constexpr std::size_t to_client_max = std::size_t{32} << 20;
constexpr int look_ms = 100;

constexpr std::string_view moved =
    "the connection to the service was lost, and another one is made; whether this was done is not known: look, then "
    "call again. Database sessions ended with it: open_database_session opens another";

/// The messages of a line: one, or those of a batch.
std::vector<std::string_view> messages_of(std::string_view line) {
  const auto message = line.substr(std::min(line.find_first_not_of(" \t\r"), line.size()));
  if (!message.starts_with('['))
    return {message};
  auto all = split_array(message);
  return all ? std::move(*all) : std::vector<std::string_view>();
}

/// Whether a call failed for now only.
bool is_passing() {
  return errno == EAGAIN || errno == EWOULDBLOCK || errno == EINTR;
}

} // namespace

line_relay::line_relay(int input, int output, relay_settings settings)
  : input_(input)
  , output_(output)
  , settings_(std::move(settings))
  , from_client_(settings_.line_bytes_max) {
  from_client_.on_line = [this](std::string_view line) { take_line(line); };
  from_client_.on_overlong_line = [this](const std::string& id) {
    tell_client(
        mcp::write_fault(id, {mcp::fault_code::invalid_request, mcp::overlong_message(settings_.line_bytes_max)}));
  };
}

bool line_relay::has_client() const {
  std::array<pollfd, 2> of{pollfd{input_, POLLIN, 0}, pollfd{output_, 0, 0}};
  ::poll(of.data(), of.size(), 0);
  const bool is_input_gone = (of[0].revents & (POLLHUP | POLLNVAL)) != 0 && (of[0].revents & POLLIN) == 0;
  return !is_input_gone && (of[1].revents & (POLLERR | POLLNVAL)) == 0;
}

void line_relay::take_input() {
  std::array<char, read_bytes> bytes; // NOLINT: written to before it is read
  const auto count = ::read(input_, bytes.data(), bytes.size());
  if (count < 0 && is_passing())
    return;
  if (count <= 0) {
    is_input_over_ = true;
    from_client_.finish();
    return;
  }
  from_client_.take({bytes.data(), static_cast<std::size_t>(count)});
}

void line_relay::take_line(std::string_view line) {
  for (const auto each : messages_of(line))
    note(each);
  to_service_.add(line);
  to_service_.add("\n");
}

/// What has to be known of it when the service moves.
void line_relay::note(std::string_view message) {
  const mcp::members said(message);
  const auto method = said.text("method").value_or("");
  if (method == "initialize") {
    opening_ = std::string(message) + "\n";
    opening_id_ = said.raw("id");
    is_opened_ = false;
  } else if (method == "notifications/initialized" || method == "logging/setLevel") {
    opening_ += std::string(message) + "\n";
  } else if (method == "notifications/cancelled") {
    unanswered_.erase(std::string(said.object("params").raw("requestId"))); // it will not be answered
  }
  if (!method.empty() && said.has("id"))
    unanswered_.emplace(said.raw("id"));
}

void line_relay::tell_client(std::string_view line) {
  to_client_.add(line);
  to_client_.add("\n");
}

void line_relay::take_from_service(std::string_view line) {
  const mcp::members said(line);
  if (!said.has("method") && said.has("id")) {
    const std::string id(said.raw("id"));
    unanswered_.erase(id);
    if (id == opening_id_ && skips_opening_) {
      skips_opening_ = false;
      return;
    }
    is_opened_ = is_opened_ || id == opening_id_;
  }
  tell_client(line);
}

bool line_relay::read_socket(int socket) {
  std::array<char, read_bytes> bytes; // NOLINT: written to before it is read
  const auto count = ::recv(socket, bytes.data(), bytes.size(), MSG_DONTWAIT);
  if (count < 0 && is_passing())
    return true;
  if (count <= 0)
    return false;
  std::string_view fresh(bytes.data(), static_cast<std::size_t>(count));
  for (auto end = fresh.find('\n'); end != std::string_view::npos; end = fresh.find('\n')) {
    from_service_ += fresh.substr(0, end);
    take_from_service(from_service_);
    from_service_.clear();
    fresh.remove_prefix(end + 1);
  }
  from_service_ += fresh;
  return true;
}

void line_relay::write_output() {
  const auto bytes = to_client_.waiting().substr(0, write_bytes);
  const auto count = ::write(output_, bytes.data(), bytes.size());
  if (count < 0 && is_passing())
    return;
  if (count <= 0) {
    is_output_broken_ = true;
    return;
  }
  to_client_.take(static_cast<std::size_t>(count));
}

/// False: it is over, and how.
bool line_relay::pump(int socket, const std::function<bool()>& is_stopped, relay_end& end) {
  if (is_stopped()) {
    end = relay_end::stopped;
    return false;
  }
  std::array<pollfd, 3> of{};
  of[0] = {is_input_over_ || to_service_.size() > to_service_max ? -1 : input_, POLLIN, 0};
  of[1] = {socket, 0, 0};
  if (to_client_.size() < to_client_max)
    of[1].events |= POLLIN;
  if (!to_service_.empty())
    of[1].events |= POLLOUT;
  of[2] = {output_, static_cast<short>(to_client_.empty() ? 0 : POLLOUT), 0};
  if (::poll(of.data(), of.size(), look_ms) < 0 && errno != EINTR) {
    end = relay_end::client_done;
    return false;
  }
  if ((of[0].revents & (POLLIN | POLLHUP | POLLERR | POLLNVAL)) != 0)
    take_input();
  if ((of[2].revents & POLLOUT) != 0)
    write_output();
  if ((of[2].revents & (POLLERR | POLLNVAL)) != 0 || is_output_broken_) { // nobody reads what is answered
    end = relay_end::client_done;
    return false;
  }
  if ((of[1].revents & POLLOUT) != 0) {
    const auto bytes = to_service_.waiting();
    const auto count = ::send(socket, bytes.data(), bytes.size(), MSG_DONTWAIT | MSG_NOSIGNAL);
    if (count > 0) {
      is_line_cut_ = bytes[static_cast<std::size_t>(count) - 1] != '\n';
      to_service_.take(static_cast<std::size_t>(count));
    }
  }
  if ((of[1].revents & (POLLIN | POLLHUP | POLLERR)) != 0 && !read_socket(socket)) {
    end = is_input_over_ ? relay_end::client_done : relay_end::socket_lost;
    return false;
  }
  return true;
}

relay_end line_relay::run(int socket, const std::function<bool()>& is_stopped) {
  begin_again();
  if (!settings_.greeting.empty())
    to_service_.add_first(settings_.greeting + "\n");
  auto end = relay_end::client_done;
  bool is_half_closed = false;
  while (pump(socket, is_stopped, end))
    if (is_input_over_ && to_service_.empty() && !is_half_closed) {
      ::shutdown(socket, SHUT_WR); // the service answers what is under way, and ends
      is_half_closed = true;
    }
  ::close(socket);
  while (!to_client_.empty() && !is_output_broken_ && end != relay_end::socket_lost) {
    pollfd of{output_, POLLOUT, 0};
    if (::poll(&of, 1, look_ms * 10) <= 0 || (of.revents & (POLLERR | POLLNVAL)) != 0)
      break;
    write_output();
  }
  from_service_.clear();
  return end;
}

/// A service that has just begun knows nothing of what this client opened with.
void line_relay::begin_again() {
  if (!std::exchange(was_connected_, true))
    return;
  if (std::exchange(is_line_cut_, false))
    to_service_.take(std::min(to_service_.waiting().find('\n'), to_service_.size() - 1) + 1);
  const bool is_unopened = !opening_.empty() && !is_opened_;
  const auto waiting = fail_unanswered(is_unopened ? opening_id_ : std::string());
  if (opening_.empty() || (is_unopened && waiting.contains(opening_id_)))
    return;
  skips_opening_ = is_opened_;
  to_service_.add_first(opening_);
}

/// What has not left yet is not lost; that is given back.
std::set<std::string> line_relay::fail_unanswered(const std::string& but) {
  std::set<std::string> waiting;
  for (auto rest = to_service_.waiting(); !rest.empty();) {
    const auto end = std::min(rest.find('\n'), rest.size());
    for (const auto each : messages_of(rest.substr(0, end)))
      waiting.emplace(mcp::members(each).raw("id"));
    rest.remove_prefix(std::min(end + 1, rest.size()));
  }
  for (const auto& id : std::exchange(unanswered_, {})) {
    if (id == but || waiting.contains(id)) {
      unanswered_.insert(id);
      continue;
    }
    tell_client(mcp::write_fault(id, {mcp::fault_code::internal, std::string(moved)}));
  }
  return waiting;
}

void line_relay::refuse_all(const error& why) {
  for (const auto& id : std::exchange(unanswered_, {}))
    tell_client(mcp::write_fault(id, {mcp::fault_code::internal, why.message}));
  while (!to_client_.empty() && !is_output_broken_)
    write_output();
}

} // namespace colloquy::cli
