#include "actors/listener.hpp"

#include <spdlog/spdlog.h>

#include <algorithm>
#include <utility>

namespace colloquy::actors {
namespace {

using namespace std::chrono_literals;

constexpr auto tick_interval = 250ms;
constexpr std::chrono::milliseconds lease_again_after{1000};
constexpr std::chrono::milliseconds lease_delay_max{30'000};

// The pool answers a lease within its acquire_timeout; a LISTEN takes its statement_timeout at most. These only guard
// against a pool that is gone.
constexpr auto lease_answer_max = 120s;
constexpr auto unit_answer_max = 60s;

constexpr std::size_t channel_chars_max = 63; // of any PostgreSQL identifier

bool is_channel(const std::string& name) {
  return !name.empty() && name.size() <= channel_chars_max && std::all_of(name.begin(), name.end(), [](char c) {
    return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9') || c == '_';
  });
}

/// LISTEN takes no parameter. The name was checked: nothing of it can end the quotes.
db::unit command_for(const char* command, const std::string& channel) {
  auto statement = std::make_shared<db::caller_statement>();
  statement->sql = std::string(command) + " \"" + channel + "\"";
  statement->keep_prepared = false;
  return {{{nullptr, {}, std::move(statement)}}};
}

constexpr db::statement probe_listener{"probe_listener", "SELECT 1", {}};

} // namespace

listener::listener(caf::actor_config& config, supervisor_actor supervisor, listener_options options)
  : listener_internal::base(config)
  , supervisor_(std::move(supervisor))
  , options_(options) {
  set_down_handler([this](const caf::down_msg& down) {
    std::vector<std::string> names;
    for (const auto& [name, each] : channels_)
      names.push_back(name);
    for (const auto& name : names)
      remove(name, down.source);
  });
}

listener::behavior_type listener::make_behavior() {
  delayed_send(this, tick_interval, listener_tick{});
  return {[this](const listen_to& wanted) { return add(wanted); },
          [this](const stop_listening& wanted) { remove(wanted.channel, wanted.subscriber.address()); },
          [this](const backend_notified& got) { on_notified(got); },
          [this](const lease_recalled& recalled) {
            if (recalled.lease == lease_ && lease_ != 0)
              on_lost("the pool replaces the listening backend");
          },
          [this](const lease_lost& lost) {
            if (lost.lease == lease_ && lease_ != 0)
              on_lost(lost.why);
          },
          [this](listener_tick) { on_tick(); }};
}

void listener::on_exit() {
  for (auto& [name, each] : channels_)
    for (auto& waiter : each.waiters)
      waiter.answer.deliver(result<listening>(error{error_code::database_unavailable, "the listener ended"}));
  channels_.clear();
  connection_ = nullptr;
  supervisor_ = nullptr;
}

// --- subscribers -----------------------------------------------------------------------------------------------------

listener::promise listener::add(const listen_to& wanted) {
  auto answer = make_response_promise<result<listening>>();
  const auto refuse = [&](error_code code, std::string why) {
    answer.deliver(result<listening>(error{code, std::move(why)}));
    return answer;
  };
  if (!is_channel(wanted.channel))
    return refuse(error_code::invalid_request,
                  "a channel's name is 1 to 63 of a-z, A-Z, 0-9 and _, not \"" + wanted.channel.substr(0, 100) + "\"");
  if (!wanted.subscriber)
    return refuse(error_code::invalid_request, "a subscriber is needed");
  if (subscribers_ >= options_.subscribers_max ||
      (!channels_.contains(wanted.channel) && channels_.size() >= options_.channels_max))
    return refuse(error_code::overloaded, "too many listen: at most " + std::to_string(options_.channels_max) +
                                              " channels and " + std::to_string(options_.subscribers_max) +
                                              " subscribers are allowed");
  const bool is_new = !channels_.contains(wanted.channel);
  auto& each = channels_[wanted.channel];
  if (std::find(each.subscribers.begin(), each.subscribers.end(), wanted.subscriber) == each.subscribers.end()) {
    each.subscribers.push_back(wanted.subscriber);
    ++subscribers_;
    if (++channels_of_[wanted.subscriber.id()] == 1)
      monitor(wanted.subscriber);
  }
  if (each.is_heard) {
    answer.deliver(result<listening>(listening{each.subscribers.size()}));
    return answer;
  }
  if (each.waiters.size() >= options_.subscribers_max)
    return refuse(error_code::overloaded, "too many wait for the channel to be heard");
  each.waiters.push_back({answer, clock().now() + options_.request_timeout});
  if (!connection_)
    lease();
  else if (is_new)
    listen(wanted.channel);
  return answer;
}

void listener::remove(const std::string& name, const caf::actor_addr& subscriber) {
  auto found = channels_.find(name);
  if (found == channels_.end())
    return;
  auto& each = found->second.subscribers;
  const auto gone =
      std::find_if(each.begin(), each.end(), [&](const auto& one) { return one.address() == subscriber; });
  if (gone == each.end())
    return;
  if (auto held = channels_of_.find(subscriber.id()); held != channels_of_.end() && --held->second == 0) {
    channels_of_.erase(held);
    demonitor(subscriber);
  }
  each.erase(gone);
  --subscribers_;
  if (!each.empty())
    return;
  for (auto& waiter : found->second.waiters)
    waiter.answer.deliver(result<listening>(error{error_code::not_found, "nobody listens to the channel any more"}));
  channels_.erase(found);
  if (channels_.empty())
    release();
  else if (connection_)
    run(command_for("UNLISTEN", name), [](const db::unit_outcome&) {}); // at worst it goes on arriving, for nobody
}

void listener::on_notified(const backend_notified& got) {
  auto found = got.lease == lease_ ? channels_.find(got.what.channel) : channels_.end();
  if (found == channels_.end())
    return;
  for (const auto& subscriber : found->second.subscribers)
    send(subscriber, channel_notified{got.what.channel, got.what.payload, got.what.sender_pid});
}

// --- the backend -----------------------------------------------------------------------------------------------------

void listener::lease() {
  if (std::exchange(leasing_, true))
    return;
  lease_connection wanted{"listener"};
  wanted.reusable = true;
  wanted.holder = caf::actor_cast<leaseholder_actor>(caf::actor_cast<listener_internal>(this));
  request(supervisor_, lease_answer_max, std::move(wanted))
      .then(
          [this](const result<leased_connection>& leased) {
            leasing_ = false;
            if (leased)
              return on_leased(*leased);
            lease_again_ = clock().now() + lease_again_after;
            spdlog::warn("the listener waits for a connection: {}", leased.failure().message);
          },
          [this](const caf::error&) {
            leasing_ = false;
            lease_again_ = clock().now() + lease_again_after;
          });
}

void listener::on_leased(const leased_connection& leased) {
  lease_ = leased.lease;
  if (channels_.empty())
    return release();
  connection_ = leased.connection;
  probe_due_ = clock().now() + options_.probe_interval;
  std::vector<std::string> names;
  for (const auto& [name, each] : channels_)
    names.push_back(name);
  for (const auto& name : names)
    listen(name);
}

void listener::run(db::unit work, std::function<void(const db::unit_outcome&)> then) {
  run_unit unit{std::move(work)};
  unit.purpose = "listen";
  unit.lease = lease_;
  const auto lease = lease_;
  const auto finish = [this, lease, then = std::move(then)](const db::unit_outcome& outcome) {
    if (lease != lease_)
      return; // of a backend that was given up meanwhile
    then(outcome);
    if (outcome.failure && lease == lease_)
      on_lost(outcome.failure->message);
  };
  request(connection_, unit_answer_max, std::move(unit)).then(finish, [finish](const caf::error&) {
    finish({{}, db::db_failure{db::failure_kind::connection_lost, "", "the listening connection does not answer"}});
  });
}

void listener::listen(const std::string& name) {
  run(command_for("LISTEN", name), [this, name](const db::unit_outcome& outcome) { on_heard(name, outcome); });
}

void listener::on_heard(const std::string& name, const db::unit_outcome& outcome) {
  auto found = channels_.find(name);
  if (outcome.failure || found == channels_.end())
    return;
  auto& each = found->second;
  each.is_heard = true;
  lease_delay_ = 0ms;
  if (std::exchange(each.had_gap, false))
    for (const auto& subscriber : each.subscribers)
      send(subscriber, channel_gap{name});
  for (auto& waiter : std::exchange(each.waiters, {}))
    waiter.answer.deliver(result<listening>(listening{each.subscribers.size()}));
}

void listener::on_lost(const std::string& why) {
  spdlog::warn("the listener takes another connection: {}", why);
  release();
  for (auto& [name, each] : channels_) {
    each.had_gap = each.had_gap || each.is_heard;
    each.is_heard = false;
  }
  lease_again_ = clock().now() + lease_delay_;
  if (lease_delay_ == 0ms)
    lease(); // else by the tick
  lease_delay_ = std::clamp<std::chrono::milliseconds>(lease_delay_ * 2, lease_again_after, lease_delay_max);
}

void listener::release() {
  if (lease_ != 0)
    send(supervisor_, end_lease{std::exchange(lease_, 0)});
  connection_ = nullptr;
}

void listener::on_tick() {
  const auto now = clock().now();
  for (auto& [name, each] : channels_) {
    const auto over = std::stable_partition(each.waiters.begin(), each.waiters.end(),
                                            [&](const auto& waiter) { return waiter.deadline > now; });
    for (auto at = over; at != each.waiters.end(); ++at)
      at->answer.deliver(
          result<listening>(error{error_code::database_unavailable,
                                  "no backend listens yet; it goes on trying, and a gap will be told", 1000ms}));
    if (over != each.waiters.end())
      each.had_gap = true;
    each.waiters.erase(over, each.waiters.end());
  }
  if (!connection_ && !leasing_ && !channels_.empty() && now >= lease_again_)
    lease();
  if (connection_ && now >= probe_due_) {
    probe_due_ = now + options_.probe_interval;
    run(db::unit{{{&probe_listener, {}}}}, [](const db::unit_outcome&) {});
  }
  delayed_send(this, tick_interval, listener_tick{});
}

} // namespace colloquy::actors
