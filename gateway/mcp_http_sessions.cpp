#include "gateway/mcp_http_sessions.hpp"

#include "gateway/edge.hpp"
#include "gateway/mcp_database_sessions.hpp"
#include "gateway/mcp_hub.hpp"
#include "gateway/secrets.hpp"

#include <boost/asio/co_spawn.hpp>
#include <boost/asio/detached.hpp>
#include <boost/asio/redirect_error.hpp>

#include <spdlog/spdlog.h>

#include <algorithm>

namespace colloquy::gateway::mcp {
namespace {

using namespace std::chrono_literals;
namespace asio = boost::asio;

/// Says that the connection lives, through whatever proxies there are.
constexpr auto comment_interval = 15s;
constexpr auto look_interval = 200ms;
/// Until a client whose stream broke off is taken for dead: longer than it is told to wait, and with `look_interval`
/// less than a second; where it cannot be told, longer than clients wait by themselves.
constexpr auto grace = 700ms;
constexpr auto grace_of_old_versions = 3s;
constexpr std::size_t id_chars = 43; // 256 bits
constexpr std::size_t write_bytes_max = 64 * 1024;

bool is_same(const principal& a, const principal& b) {
  return a.kind == b.kind && a.tenant == b.tenant && a.name == b.name && a.as_user == b.as_user && a.key == b.key &&
         a.token_sha256 == b.token_sha256;
}

} // namespace

void event_queue::send(std::string message) {
  if (is_closed_ || is_overfull_)
    return;
  bytes_ += message.size();
  is_overfull_ = bytes_ > bytes_max;
  messages_.push_back(std::move(message));
  news_.cancel();
}

void event_queue::close() {
  is_closed_ = true;
  news_.cancel();
}

std::string event_queue::take() {
  auto first = std::move(messages_.front());
  messages_.pop_front();
  bytes_ -= first.size();
  return first;
}

task<void> event_queue::await_news(std::chrono::milliseconds most) {
  if (!messages_.empty() || is_closed_)
    co_return;
  news_.expires_after(most);
  boost::system::error_code ignored;
  co_await news_.async_wait(asio::redirect_error(use_task, ignored));
}

task<bool> write_events(event_queue& from, reply_sink& to, std::function<bool()> is_over) {
  auto commented = std::chrono::steady_clock::now();
  std::string bytes;
  for (;;) {
    co_await from.await_news(look_interval);
    if (to.is_gone() || from.is_overfull())
      co_return false;
    bytes.clear();
    while (!from.is_empty() && bytes.size() < write_bytes_max) {
      bytes += "event: message\ndata: ";
      bytes += from.take(); // has no line break: it was written here
      bytes += "\n\n";
    }
    const auto now = std::chrono::steady_clock::now();
    if (bytes.empty() && now - commented >= comment_interval)
      bytes = ": still here\n\n";
    if (!bytes.empty()) {
      commented = now;
      if (!co_await to.write(bytes))
        co_return false;
    }
    if (from.is_empty() && (from.is_closed() || is_over()))
      co_return true;
  }
}

result<std::shared_ptr<http_session>> http_sessions::open(const principal& who, const tenant_state_ptr& tenant) {
  drop_idle();
  const auto of_tenant = std::count_if(all_.begin(), all_.end(),
                                       [&](const auto& each) { return each.second->whose->who.tenant == who.tenant; });
  if (all_.size() >= sessions_max || static_cast<std::size_t>(of_tenant) >= tenant_sessions_max)
    return error{error_code::overloaded, "too many clients are connected; end some of them with DELETE", 1000ms};
  auto& context = at_.service().context();
  auto id = random_text(id_chars);
  if (!id)
    return error{error_code::internal, "the operating system gives no random bytes"};
  auto made = std::make_shared<http_session>(context, *id, std::make_shared<peer>(context, who, tenant));
  made->used = std::chrono::steady_clock::now();
  made->whose->push = [queue = &made->queue, session = std::weak_ptr<http_session>(made)](std::string message) {
    if (const auto there = session.lock(); there && there->has_stream)
      queue->send(std::move(message));
  };
  made->whose->is_counted = true;
  at_.add_peer(*made->whose);
  all_.emplace(made->id, made);
  return made;
}

std::shared_ptr<http_session> http_sessions::find(std::string_view id, const principal& who) {
  const auto found = all_.find(std::string(id));
  if (found == all_.end() || !is_same(found->second->whose->who, who))
    return nullptr;
  found->second->used = std::chrono::steady_clock::now();
  return found->second;
}

void http_sessions::close(const std::shared_ptr<http_session>& session) {
  at_.drop_peer(*session->whose);
  session->whose->watched.clear();
  session->whose->cancel_all();
  session->queue.close();
  session->whose->is_over = true;
  close_database_sessions(at_.service(), *session->whose);
  all_.erase(session->id);
}

void http_sessions::close_of_key(const key_id& key) {
  std::vector<std::shared_ptr<http_session>> of_it;
  for (const auto& [id, each] : all_)
    if (each->whose->who.kind == principal_kind::key && each->whose->who.key == key)
      of_it.push_back(each);
  for (const auto& each : of_it)
    close(each);
}

void http_sessions::drop_idle() {
  const auto before = std::chrono::steady_clock::now() - idle_max;
  std::vector<std::shared_ptr<http_session>> idle;
  for (const auto& [id, each] : all_)
    if (!each->has_stream && each->used < before)
      idle.push_back(each);
  for (const auto& each : idle)
    close(each);
}

void http_sessions::note_lost_stream(const std::shared_ptr<http_session>& session) {
  if (session->queue.is_closed() || at_.is_draining())
    return;
  const std::chrono::milliseconds wait = session->knows_retry() ? grace : grace_of_old_versions;
  asio::co_spawn(at_.service().context(), await_life(session, wait), asio::detached);
}

/// Holds nothing while it waits: it may be left waiting by a service that ends.
task<void> http_sessions::await_life(std::weak_ptr<http_session> of, std::chrono::milliseconds wait) {
  const auto lost = std::chrono::steady_clock::now();
  loop_timer timer(at_.service().context());
  for (bool is_waiting = true; is_waiting;) {
    timer.expires_after(wait);
    boost::system::error_code ignored;
    co_await timer.async_wait(asio::redirect_error(use_task, ignored));
    const auto session = of.lock();
    if (!session || session->has_stream || session->used > lost)
      co_return;
    is_waiting = session->whose->is_waiting(); // which shows as well that it lives
    if (is_waiting || session->whose->database_sessions.empty())
      continue;
    spdlog::info("a client's stream broke off and it did not come back: its database sessions are closed");
    close_database_sessions(at_.service(), *session->whose);
  }
}

void http_sessions::begin_draining() {
  const auto all = all_;
  for (const auto& [id, each] : all) {
    each->whose->cancel_all();
    each->queue.close();
  }
}

} // namespace colloquy::gateway::mcp
