#include "tests/support/tcp_relay.hpp"

#include <algorithm>
#include <fcntl.h>
#include <string_view>

namespace colloquy::test::proxy {

namespace {

using boost::system::error_code;
using namespace std::chrono_literals;

/// How a CancelRequest begins: its length, 16, and the number 80877102.
constexpr std::string_view cancel_head("\x00\x00\x00\x10\x04\xd2\x16\x2e", 8);

constexpr auto throttle_tick = 20ms;

/// A program that a test starts meanwhile must not keep our connections open.
void keep_from_children(stream& socket) {
  ::fcntl(socket.native_handle(), F_SETFD, FD_CLOEXEC);
}

} // namespace

relay::relay(house& shared, stream client)
  : house_(shared)
  , client_(std::move(client))
  , server_(client_.get_executor())
  , to_server_(client_, server_, client_.get_executor())
  , to_client_(server_, client_, client_.get_executor()) {
  keep_from_children(client_);
}

void relay::start() {
  if (!house_.hang)
    release();
}

void relay::release() {
  if (started_ || closed_)
    return;
  started_ = true;
  read_more(to_server_);
  server_.async_connect(house_.target, [this, self = shared_from_this()](const error_code& failed) {
    if (closed_)
      return;
    if (failed)
      return cut();
    connected();
  });
}

void relay::connected() {
  keep_from_children(server_);
  connected_ = true;
  read_more(to_client_);
  write_more(to_server_);
}

void relay::set_faults(const link_faults& faults) {
  to_server_.faults = faults.to_server;
  to_client_.faults = faults.to_client;
  for (auto* p : {&to_server_, &to_client_}) {
    const auto latest = steady::now() + p->faults.delay;
    for (auto& held : p->held)
      held.due = std::min(held.due, latest);
    p->next_write = {};
    p->timer.cancel(); // it may be due earlier now
    if (!closed_ && started_)
      write_more(*p);
  }
}

void relay::read_more(pipe& p) {
  if (closed_ || p.reading || p.ended || p.held_bytes >= held_max)
    return;
  p.reading = true;
  p.from.async_read_some(asio::buffer(p.incoming),
                         [this, self = shared_from_this(), &p](const error_code& failed, std::size_t count) {
                           p.reading = false;
                           if (closed_)
                             return;
                           if (failed && failed != asio::error::eof)
                             return cut(); // what broke for one side, breaks for the other
                           if (failed) {
                             p.ended = true;
                             return write_more(p);
                           }
                           on_bytes(p, std::string(p.incoming.data(), count));
                           read_more(p);
                         });
}

void relay::on_bytes(pipe& p, std::string bytes) {
  if (&p == &to_server_ && !kind_ && !classify(bytes))
    return;
  take(p, std::move(bytes));
}

/// False while it may be either; then `bytes` are kept, and given back when it is known.
bool relay::classify(std::string& bytes) {
  first_ += bytes;
  const auto compared = std::min(first_.size(), cancel_head.size());
  const bool alike = std::string_view(first_).substr(0, compared) == cancel_head.substr(0, compared);
  if (alike && compared < cancel_head.size())
    return false;
  kind_ = alike ? traffic::cancels : traffic::ordinary;
  if (alike)
    ++house_.counters.cancels;
  set_faults(alike ? house_.cancels : house_.ordinary);
  bytes = std::move(first_);
  return !closed_;
}

void relay::take(pipe& p, std::string bytes) {
  if (p.faults.swallow) {
    house_.counters.bytes_swallowed += bytes.size();
    return;
  }
  p.held_bytes += bytes.size();
  p.held.push_back({steady::now() + p.faults.delay, std::move(bytes)});
  write_more(p);
}

void relay::write_more(pipe& p) {
  if (closed_ || !connected_ || p.writing || p.waiting)
    return;
  if (p.held.empty())
    return pass_end(p);
  const auto when = std::max(p.held.front().due, p.next_write);
  if (when > steady::now())
    return wait_until(p, when);
  write_piece(p);
}

void relay::wait_until(pipe& p, steady::time_point when) {
  p.waiting = true;
  p.timer.expires_at(when);
  p.timer.async_wait([this, self = shared_from_this(), &p](const error_code&) {
    p.waiting = false;
    write_more(p);
  });
}

void relay::write_piece(pipe& p) {
  auto count = static_cast<std::uint64_t>(p.held.front().bytes.size());
  if (p.faults.cut_after)
    count = std::min(count, *p.faults.cut_after);
  if (count == 0)
    return cut_politely();
  if (const auto rate = p.faults.bytes_per_second; rate > 0)
    count = std::min(count, std::max<std::uint64_t>(1, rate * throttle_tick.count() / 1000));
  p.writing = true;
  count_passing(p, count);
  asio::async_write(p.to, asio::buffer(p.held.front().bytes.data(), count),
                    [this, self = shared_from_this(), &p](const error_code& failed, std::size_t written) {
                      p.writing = false;
                      if (closed_)
                        return;
                      if (failed)
                        return cut();
                      on_written(p, written);
                    });
}

/// Before it is written: what a side has seen is counted already when it says so.
void relay::count_passing(const pipe& p, std::uint64_t count) {
  auto& counter = &p == &to_server_ ? house_.counters.bytes_to_server : house_.counters.bytes_to_client;
  counter += count;
  const bool all = p.held.size() == 1 && p.held.front().bytes.size() == count;
  if (&p == &to_server_ && kind_ == traffic::cancels && all)
    ++house_.counters.cancels_passed;
}

void relay::on_written(pipe& p, std::size_t count) {
  auto& front = p.held.front().bytes;
  front.erase(0, count);
  p.held_bytes -= count;
  if (front.empty())
    p.held.pop_front();
  if (const auto rate = p.faults.bytes_per_second; rate > 0)
    p.next_write = steady::now() + std::chrono::nanoseconds(1s) * count / rate;
  if (p.faults.cut_after) {
    *p.faults.cut_after -= std::min<std::uint64_t>(*p.faults.cut_after, count);
    if (*p.faults.cut_after == 0)
      return cut_politely();
  }
  read_more(p);
  write_more(p);
}

/// A side that has ended is told to the other, unless whatever comes from it is swallowed.
void relay::pass_end(pipe& p) {
  if (!p.ended || p.shut || p.faults.swallow)
    return;
  p.shut = true;
  error_code ignored;
  p.to.shutdown(stream::shutdown_send, ignored);
  if (to_server_.shut && to_client_.shut)
    leave();
}

/// The sides see an end after what has passed, or a reset if they had sent more than we read.
void relay::cut_politely() {
  error_code ignored;
  for (auto* side : {&client_, &server_})
    side->shutdown(stream::shutdown_both, ignored);
  ++house_.counters.cut;
  leave();
}

void relay::cut() {
  if (closed_)
    return;
  error_code ignored;
  for (auto* side : {&client_, &server_})
    side->set_option(asio::socket_base::linger(true, 0), ignored);
  ++house_.counters.cut;
  leave();
}

void relay::leave() {
  closed_ = true;
  error_code ignored;
  client_.close(ignored);
  server_.close(ignored);
  to_server_.timer.cancel();
  to_client_.timer.cancel();
  --house_.counters.open;
  house_.relays.erase(shared_from_this());
}

} // namespace colloquy::test::proxy
