// What NOTIFY has sent. See database_sessions.hpp for the rules.
#include "actors/database_sessions.hpp"

#include <utility>

namespace colloquy::actors {
namespace {

using namespace std::chrono_literals;

constexpr std::size_t notifications_max = 1000;
constexpr std::size_t notification_bytes_max = std::size_t{1} << 20;
constexpr std::size_t waiters_max = 16;
constexpr auto listening_max = 20s;

// Of notifications whose senders are asked for, and of one answer: a number is soon another backend's.
constexpr std::size_t heard_max = 1000;
constexpr auto asking_max = 5s;
constexpr auto stranger_kept_for = 1s;

} // namespace

database_sessions::promise<database_notifications> database_sessions::read(const read_database_notifications& request) {
  auto answer = make_response_promise<result<database_notifications>>();
  const auto refuse = [&](error why) {
    answer.deliver(result<database_notifications>(std::move(why)));
    return answer;
  };
  auto found = find(request.owner, request.id);
  if (!found)
    return refuse(found.failure());
  if (request.wait < 0ms || request.wait > limits::notifications_wait_max)
    return refuse({error_code::invalid_request,
                   "wait_s is " + std::to_string(request.wait.count() / 1000) + "; 0 to 60 are allowed"});
  auto& of = **found;
  of.last_use = clock().now();
  if (!of.notifications.empty() || of.missed_some || request.wait == 0ms) {
    answer.deliver(result<database_notifications>(take_notifications(of)));
    return answer;
  }
  if (of.waiters.size() >= waiters_max)
    return refuse({error_code::overloaded, "too many wait for the notifications of this database session", 1000ms});
  of.waiters.push_back({answer, clock().now() + request.wait});
  return answer;
}

database_notifications database_sessions::take_notifications(session& of) {
  database_notifications taken;
  for (auto& each : of.notifications)
    taken.notifications.push_back(std::move(each));
  taken.missed_some = std::exchange(of.missed_some, false);
  of.notifications.clear();
  of.notification_bytes = 0;
  return taken;
}

/// All to the one who waits longest; the others to whom their time is over get none.
void database_sessions::answer_waiters(session& of) {
  const auto now = clock().now();
  bool has_some = !of.notifications.empty() || of.missed_some;
  std::vector<notifications_waiter> left;
  for (auto& waiter : of.waiters) {
    if (!has_some && now < waiter.deadline) {
      left.push_back(std::move(waiter));
      continue;
    }
    waiter.answer.deliver(result<database_notifications>(take_notifications(of)));
    has_some = false;
    of.last_use = now;
  }
  of.waiters = std::move(left);
}

void database_sessions::deliver(session& to, const std::string& channel, const std::string& payload) {
  const auto bytes = channel.size() + payload.size();
  if (to.notifications.size() >= notifications_max || to.notification_bytes + bytes > notification_bytes_max) {
    to.missed_some = true;
  } else {
    to.notifications.push_back({channel, payload});
    to.notification_bytes += bytes;
  }
  answer_waiters(to);
}

/// Any role may send to any channel: what another tenant's has sent is not for this one, nor is what a role has sent
/// that only reads, by pg_notify(): NOTIFY is refused to it.
void database_sessions::hear(heard_notification news) {
  if (heard_.size() < heard_max) {
    heard_.push_back(std::move(news));
    return hear_next();
  }
  for (auto& [id, each] : sessions_)
    each.missed_some = each.missed_some || each.listens.contains(news.channel) || id == news.session;
}

void database_sessions::hear_next() {
  while (!heard_.empty() && !is_asking_whose_) {
    const auto known = pids_.find(heard_.front().sender_pid);
    if (known == pids_.end())
      return ask_whose(heard_.front().sender_pid);
    const auto news = std::move(heard_.front());
    heard_.pop_front();
    std::set<std::string> ids{news.session};
    if (news.session.empty()) {
      auto listening = channels_.find(news.channel);
      ids = listening == channels_.end() ? std::set<std::string>{} : listening->second;
    }
    for (const auto& id : ids) {
      auto* of = find_alive(id);
      if (of && known->second.is_gone) {
        of->missed_some = true;
        answer_waiters(*of);
      } else if (of && known->second.tenant == of->owner.tenant.text()) {
        deliver(*of, news.channel, news.payload);
      }
    }
  }
}

/// A backend that is not one of ours: of another process, which may have sessions of the same tenant.
void database_sessions::ask_whose(std::int32_t pid) {
  is_asking_whose_ = true;
  run_unit unit{db::read_backend_role(pid)};
  unit.purpose = "whose notification";
  unit.deadline = clock().now() + asking_max;
  unit.idempotent = true;
  const auto then = [this, pid](const db::unit_outcome& outcome) {
    is_asking_whose_ = false;
    const auto role = db::decode_backend_role(outcome);
    known_pid found{"", clock().now() + stranger_kept_for, !role};
    for (const auto& [tenant, login] : logins_)
      if (role && login.logins && login.logins->read_write.role == *role)
        found.tenant = tenant;
    pids_.emplace(pid, std::move(found)); // unless it has become one of ours meanwhile
    hear_next();
  };
  request(pool_, asking_max + pool_answer_margin, std::move(unit)).then(then, [then](const caf::error&) {
    then({{}, db::db_failure{db::failure_kind::wait, "", "the pool does not answer"}});
  });
}

/// False past what is heard for one session, one tenant, or all: the session is pinned, and its own backend hears it.
bool database_sessions::may_listen(const session& of, const std::string& channel) const {
  if (of.listens.contains(channel))
    return true;
  if (of.listens.size() >= options_.session_channels_max)
    return false;
  if (!channels_.contains(channel) && channels_.size() >= options_.channels_max)
    return false;
  std::size_t of_tenant = 0;
  for (const auto& [id, each] : sessions_)
    of_tenant += each.owner.tenant == of.owner.tenant ? each.listens.size() : 0;
  return of_tenant < options_.tenant_channels_max;
}

void database_sessions::listen(session& of, const std::string& channel, std::function<void()> then) {
  of.listens.insert(channel);
  const bool is_new = channels_[channel].insert(of.id).second && channels_[channel].size() == 1;
  if (!is_new || !listener_)
    return then();
  listen_to wanted{channel, caf::actor_cast<channel_subscriber>(caf::actor_cast<database_sessions_internal>(this))};
  request(listener_, listening_max, std::move(wanted))
      .then(
          [this, id = of.id, channel, then](const result<listening>& heard) {
            if (auto* still = find_alive(id);
                still && !heard && heard.failure().code != error_code::database_unavailable)
              still->pin = "its channel " + channel + " cannot be heard elsewhere: " + heard.failure().message;
            then();
          },
          [then](const caf::error&) { then(); });
}

void database_sessions::unlisten(session& of, const std::string& channel) {
  of.listens.erase(channel);
  auto found = channels_.find(channel);
  if (found == channels_.end())
    return;
  found->second.erase(of.id);
  if (!found->second.empty())
    return;
  channels_.erase(found);
  if (listener_)
    send(listener_, stop_listening{channel, caf::actor_cast<channel_subscriber>(
                                                caf::actor_cast<database_sessions_internal>(this))});
}

/// By its own backend: channels that it listens to by other means than a statement of its own.
void database_sessions::on_heard(const backend_heard& news) {
  auto found = slots_.find(news.slot);
  auto* of = found == slots_.end() ? nullptr : find_alive(found->second.session);
  if (!of)
    return;
  for (const auto& each : news.notifications)
    if (!of->listens.contains(each.channel))
      hear({of->id, each.channel, each.payload, each.sender_pid});
}

void database_sessions::on_channel(const channel_notified& news) {
  if (channels_.contains(news.channel))
    hear({"", news.channel, news.payload, news.sender_pid});
}

void database_sessions::on_gap(const channel_gap& gap) {
  auto found = channels_.find(gap.channel);
  if (found == channels_.end())
    return;
  const auto ids = found->second;
  for (const auto& id : ids)
    if (auto* of = find_alive(id)) {
      of->missed_some = true;
      answer_waiters(*of);
    }
}

} // namespace colloquy::actors
