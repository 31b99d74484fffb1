#include "gateway/mcp_lines.hpp"

#include "gateway/mcp_database_sessions.hpp"
#include "gateway/mcp_errors.hpp"
#include "gateway/mcp_hub.hpp"
#include "gateway/mcp_line_cutter.hpp"

#include <boost/asio/as_tuple.hpp>
#include <boost/asio/co_spawn.hpp>
#include <boost/asio/detached.hpp>
#include <boost/asio/post.hpp>
#include <boost/asio/write.hpp>

#include <spdlog/spdlog.h>

#include <array>
#include <deque>
#include <poll.h>

namespace colloquy::gateway::mcp {
namespace {

using namespace std::chrono_literals;
namespace asio = boost::asio;

constexpr auto use = asio::as_tuple(use_task);
constexpr std::size_t read_bytes = 64 * 1024;
constexpr std::size_t waiting_bytes_max = std::size_t{64} << 20; ///< that the client has not taken
constexpr std::size_t write_bytes_max = 256 * 1024;
/// Answers up to this size are kept whatever waits; with peer::requests_max of them there is a bound all the same.
constexpr std::size_t small_answer_bytes = 64 * 1024;
constexpr std::size_t name_chars_max = 63; ///< as of mcp_server_name
constexpr auto finish_max = 60s;           ///< for what is under way when a client says no more
constexpr auto grain = 5ms;

class line_connection final : public connection_control, public outlet {
public:
  line_connection(unix_socket socket, connections& of)
    : socket_(std::move(socket))
    , of_(of)
    , news_(of.at.context())
    , whose_(std::make_shared<peer>(of.at.context(), socket_principal(++last_number), nullptr)) {
    whose_->push = [this](std::string message) { send(std::move(message)); };
    of_.all.insert(this);
    at().add_peer(*whose_);
  }
  ~line_connection() override {
    at().drop_peer(*whose_);
    of_.all.erase(this);
  }

  task<void> run() {
    is_writing_ = true;
    asio::co_spawn(of_.at.context(), write_out(), asio::detached);
    co_await read_in();
    // One that only says no more is still answered; one that has gone has nobody to be answered.
    whose_->watched.clear();
    whose_->cancel_method("subscriptions/listen");
    const auto until = std::chrono::steady_clock::now() + finish_max;
    while (under_way_ > 0 && !is_cut_ && !has_gone() && std::chrono::steady_clock::now() < until)
      co_await pause();
    whose_->cancel_all();
    close_database_sessions(of_.at, *whose_);
    while (under_way_ > 0) // they refer to this
      co_await pause();
    close_database_sessions(of_.at, *whose_); // that were still being opened
    is_over_ = true;
    news_.cancel();
    while (is_writing_) {
      if (has_gone())
        cut();
      co_await pause();
    }
  }

  void send(std::string message) override {
    if (is_cut_)
      return;
    waiting_bytes_ += message.size();
    if (waiting_bytes_ > waiting_bytes_max + small_answer_bytes * peer::requests_max)
      return cut(); // it hears of much, and takes none of it
    message += '\n';
    waiting_.push_back(std::move(message));
    news_.cancel();
  }

  /// What is under way is answered; then it closes, for there is no telling that no more is read.
  void begin_draining() override {
    is_draining_ = true;
    if (under_way_ == 0)
      cut_input();
  }
  void cut() override {
    is_cut_ = true;
    boost::system::error_code ignored;
    socket_.close(ignored);
    news_.cancel();
  }
  void cut_if_late(std::chrono::steady_clock::time_point) override {}

private:
  hub& at() { return of_.at.protocol(); }

  bool has_gone() {
    pollfd of{socket_.native_handle(), 0, 0};
    return of.fd < 0 || (::poll(&of, 1, 0) > 0 && (of.revents & (POLLHUP | POLLERR | POLLNVAL)) != 0);
  }

  task<void> pause() {
    loop_timer timer(of_.at.context());
    timer.expires_after(grain);
    co_await timer.async_wait(use);
  }

  void cut_input() {
    boost::system::error_code ignored;
    socket_.shutdown(asio::socket_base::shutdown_receive, ignored);
  }

  task<void> read_in() {
    const auto most = of_.at.settings().body_bytes_max;
    line_cutter lines(most);
    lines.on_line = [this](std::string_view line) { take_line(line); };
    lines.on_overlong_line = [this, most](const std::string& id) {
      send(write_fault(id, {fault_code::invalid_request, overlong_message(most)}));
    };
    std::array<char, read_bytes> bytes; // NOLINT: written to before it is read
    while (!is_cut_) {
      const auto [problem, count] = co_await socket_.async_read_some(asio::buffer(bytes), use);
      if (problem)
        co_return;
      lines.take({bytes.data(), count});
    }
  }

  void take_line(std::string_view line) {
    if (line.ends_with('\r'))
      line.remove_suffix(1);
    line.remove_prefix(std::min(line.find_first_not_of(" \t"), line.size()));
    if (line.empty())
      return;
    if (line.front() == '[' && whose_->version == "2025-03-26") {
      take_batch(line);
      return;
    }
    take_message(line);
  }

  /// Of the one version that has them; each is answered for itself, which that version allows.
  void take_batch(std::string_view line) {
    const auto all = check_json(line, limits::document_depth_max * 10) ? split_array(line)
                                                                       : result<std::vector<std::string_view>>(error{});
    if (!all || all->empty() || all->size() > peer::requests_max)
      return send(write_fault("null", {fault_code::invalid_request, "a batch is an array of messages"}));
    for (const auto each : *all)
      take_message(each);
  }

  void take_message(std::string_view text) {
    auto made = std::make_unique<request>(at(), *this);
    made->text = std::string(text);
    auto read = read_message(made->text);
    if (const auto* wrong = std::get_if<message_fault>(&read))
      return send(write_fault(wrong->id, wrong->why));
    const auto& said = std::get<message>(read);
    if (said.kind == message_kind::response)
      return whose_->take_response(said);
    if (said.kind == message_kind::notification && said.method == naming_method)
      return take_name(members(said.params).text("name").value_or(""));
    if (said.kind == message_kind::notification)
      return at().take_notification(*whose_, said);
    hub::read_into(*made, said);
    if (auto why = prepare(*made))
      return send(write_fault(made->id, *why));
    ++under_way_;
    asio::co_spawn(of_.at.context(), serve(std::move(made)), asio::detached);
  }

  void take_name(std::string name) {
    if (name.size() <= name_chars_max)
      whose_->shown_name = std::move(name);
  }

  std::optional<fault> prepare(request& of) {
    of.who = whose_->who;
    of.tenant = whose_->tenant;
    of.from = whose_;
    of.http_id = uuid_to_string(new_uuid_v7());
    const bool is_probe = of.method == "server/discover";
    if (of.spoken == era::modern || is_probe) {
      of.spoken = era::modern;
      if (auto why = at().check_modern(of))
        return why;
    } else {
      of.version = whose_->version;
      of.capabilities = whose_->capabilities;
      of.log_level = whose_->log_level;
      if (of.version.empty() && of.method != "initialize" && of.method != "ping")
        return fault{fault_code::invalid_request, "begin with initialize, or name the version " +
                                                      std::string(modern_version) + " in _meta of each request"};
    }
    if (of_.at.is_draining())
      return fault{fault_code::internal, "the service is shutting down"};
    return whose_->begin(of);
  }

  task<void> serve(std::unique_ptr<request> of) {
    {
      const hub::under_way counted(at(), *of);
      auto answer = co_await at().serve(*of);
      whose_->end(*of);
      // What was cancelled is not answered; but the end of a service is told to who listens.
      if (!of->is_cancelled || (is_draining_ && !is_cut_))
        send(answer_text(*of, answer));
      else if (of->on_undelivered)
        of->on_undelivered();
      if (!whose_->tenant)
        whose_->tenant = of->tenant;
    }
    of.reset();
    if (--under_way_ == 0 && is_draining_)
      cut_input();
  }

  /// A large one that finds no room becomes an error, and the client keeps its connection.
  std::string answer_text(const request& of, const answer& with) {
    auto text = at().write(of, with);
    if (text.size() <= small_answer_bytes || waiting_bytes_ + text.size() <= waiting_bytes_max)
      return text;
    const auto why = "answers that are not read yet leave no room for this one of " + std::to_string(text.size()) +
                     " bytes; what was asked for was done";
    return at().write(of, too_large_answer(of, why, "read what has been answered, then ask again, or for less."));
  }

  task<void> write_out() {
    while (!is_cut_) {
      if (waiting_.empty()) {
        if (is_over_)
          break;
        news_.expires_after(1h);
        co_await news_.async_wait(use);
        continue;
      }
      std::string bytes;
      while (!waiting_.empty() && bytes.size() < write_bytes_max) {
        bytes += waiting_.front();
        waiting_.pop_front();
      }
      const auto [problem, count] = co_await asio::async_write(socket_, asio::buffer(bytes), use);
      waiting_bytes_ -= std::min(waiting_bytes_, bytes.size());
      if (problem)
        cut();
    }
    is_writing_ = false;
  }

  static inline std::uint64_t last_number = 0; // of the edge's one thread

  unix_socket socket_;
  connections& of_;
  loop_timer news_;
  std::shared_ptr<peer> whose_;
  std::deque<std::string> waiting_;
  std::size_t waiting_bytes_ = 0;
  std::size_t under_way_ = 0;
  bool is_writing_ = false;
  bool is_over_ = false;
  bool is_draining_ = false;
  bool is_cut_ = false;
};

} // namespace

principal socket_principal(std::uint64_t number) {
  principal who;
  who.kind = principal_kind::local;
  who.tenant = tenant_id::parse("default").value_or(tenant_id());
  who.scopes = {true, true, false};
  who.name = "mcp:" + std::to_string(number);
  return who;
}

task<void> serve_lines(unix_socket socket, connections& of) {
  try {
    const auto held = std::make_unique<line_connection>(std::move(socket), of);
    co_await held->run();
  } catch (const std::exception& why) {
    spdlog::error("a client of the private socket ended by a fault of ours: {}", why.what());
  }
}

} // namespace colloquy::gateway::mcp
