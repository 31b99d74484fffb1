// Who listens to a session: what is stored, then what comes, with no gap and no repeat at the seam. See session.hpp.
#include "actors/session.hpp"

#include <caf/send.hpp>

#include <algorithm>
#include <limits>
#include <utility>

namespace colloquy::actors {
namespace {

using namespace std::chrono_literals;

// Stored events go to a subscriber in pages of this size, the next one when the last but one is taken.
constexpr std::size_t stored_page = 500;

std::size_t bytes_of(const std::vector<event>& events) {
  std::size_t bytes = 0;
  for (const auto& entry : events)
    bytes += entry.cost_bytes();
  return bytes;
}

} // namespace

void session::serve(promise_of<subscribe_events>& answer, subscribe_events& request, const caf::actor_addr&) {
  const auto refuse = [&](error why) { reply(answer, result<subscribed>(std::move(why))); };
  if (!request.subscriber)
    return refuse({error_code::invalid_request, "a subscription needs a subscriber"});
  if (request.after < -1)
    return refuse(
        {error_code::invalid_request, "after is " + std::to_string(request.after) + "; -1 or more is allowed"});
  auto& listeners = doing().listeners;
  if (listeners.size() >= limits::subscribers_per_session_max)
    return refuse({error_code::overloaded,
                   "more than " + std::to_string(limits::subscribers_per_session_max) + " listen to this session",
                   1000ms});
  const auto id = ++last_subscription_;
  auto& made = listeners[id];
  made.id = id;
  made.subscriber = std::move(request.subscriber);
  made.as_user = std::move(request.as_user);
  made.sent = made.taken = std::min(request.after, std::numeric_limits<event_offset>::max() - 1);
  doing().listeners_by_actor.emplace(made.subscriber.id(), id);
  monitor_once(caf::actor_cast<caf::actor_addr>(made.subscriber));
  reply(answer, result<subscribed>(subscribed{id, known_->record.durable_offset}));
  extend_life();
  send_text_so_far(made);
  feed_from_log(made);
}

void session::take(unsubscribe_events& request) {
  if (doing_)
    forget_listener(request.subscription);
}

void session::take(events_taken& news) {
  if (!doing_)
    return;
  auto at = doing_->listeners.find(news.subscription);
  if (at == doing_->listeners.end())
    return;
  auto& to = at->second;
  to.taken = std::clamp(news.through, to.taken, to.sent);
  while (!to.under_way.empty() && to.under_way.front().first <= to.taken) {
    to.bytes_under_way -= to.under_way.front().second;
    to.under_way.pop_front();
  }
  take_deltas(to, news.deltas);
  feed_from_log(to);
}

/// What has just become durable, to all who have everything before it: each block is one for all of them.
void session::feed(const event_blocks& durable) {
  struct piece {
    db::event_block block;
    std::size_t bytes;
    event_offset first, last;
  };
  if (doing_->listeners.empty())
    return;
  std::vector<piece> news;
  for (const auto& block : durable) {
    auto shown = without_hidden(block);
    const auto bytes = bytes_of(*shown);
    news.push_back({std::move(shown), bytes, block->front().offset, block->back().offset});
  }
  for (auto at = doing_->listeners.begin(); at != doing_->listeners.end();) {
    auto& to = (at++)->second; // it goes if it is too far behind
    for (const auto& each : news)
      if (!to.is_reading && to.sent + 1 >= each.first && to.sent < each.last &&
          !send_events(to, each.block, each.bytes, each.last))
        break;
  }
}

/// What was rolled back or deleted before it was durable has been shown to nobody.
db::event_block session::without_hidden(const db::event_block& block) const {
  const auto hides = [this](const event& entry) { return is_hidden(entry); };
  if (std::none_of(block->begin(), block->end(), hides))
    return block;
  auto rest = *block;
  std::erase_if(rest, hides);
  return std::make_shared<const std::vector<event>>(std::move(rest));
}

/// What is stored, page by page, as fast as it is taken.
void session::feed_from_log(subscription& to) {
  if (to.is_reading || to.sent >= known_->record.durable_offset || to.under_way.size() > 1)
    return;
  to.is_reading = true;
  read_durable(to.sent, stored_page, [this, id = to.id](result<event_page> page) {
    if (!doing_)
      return;
    auto at = doing_->listeners.find(id);
    if (at == doing_->listeners.end())
      return;
    auto& reader = at->second;
    reader.is_reading = false;
    if (!page)
      return end_listening(id, page.failure());
    auto block = std::make_shared<const std::vector<event>>(std::move(page->events));
    const auto through = page->read_through;
    if (through <= reader.sent)
      return;
    if (send_events(reader, block, bytes_of(*block), through))
      feed_from_log(reader);
  });
}

/// False if it was too far behind, and is gone.
bool session::send_events(subscription& to, const db::event_block& block, std::size_t bytes, event_offset through,
                          const std::optional<event_range>& deleted) {
  to.sent = through;
  to.under_way.emplace_back(through, bytes);
  to.bytes_under_way += bytes;
  send(to.subscriber, events_arrived{key_, to.id, block, through, deleted});
  const auto behind = static_cast<std::size_t>(to.sent - to.taken);
  // A page of what is stored may be larger than the bounds; who has not even taken the one before it is too slow.
  if (to.under_way.size() <= 2 ||
      (behind <= limits::subscriber_lag_events_max && to.bytes_under_way <= limits::subscriber_lag_bytes_max))
    return true;
  end_listening(to.id,
                {error_code::overloaded, "the subscriber is too far behind; resume from the offset given", 100ms});
  return false;
}

void session::end_listening(subscription_id id, const error& why) {
  auto at = doing_->listeners.find(id);
  if (at == doing_->listeners.end())
    return;
  log_about(spdlog::level::debug, subject(), "subscription {} ends behind offset {}: {}", id, at->second.sent,
            to_string(why.code));
  send(at->second.subscriber, subscription_ended{key_, id, why, at->second.sent});
  forget_listener(id);
}

void session::forget_listener(subscription_id id) {
  const auto at = doing_->listeners.find(id);
  if (at == doing_->listeners.end())
    return;
  doing_->listeners_by_actor.erase({at->second.subscriber.id(), id});
  doing_->listeners.erase(at);
}

void session::forget_listeners_of(const caf::actor_addr& who) {
  auto& all = doing_->listeners_by_actor;
  const auto first = all.lower_bound({who.id(), 0});
  const auto last = all.upper_bound({who.id(), std::numeric_limits<subscription_id>::max()});
  for (auto at = first; at != last; ++at)
    doing_->listeners.erase(at->second);
  all.erase(first, last);
}

void session::end_all_listening(const error& why) {
  while (!doing_->listeners.empty())
    end_listening(doing_->listeners.begin()->first, why);
}

// --- parts of a reply ------------------------------------------------------------------------------------------------

std::size_t session::pass_delta(turn_id turn, const std::shared_ptr<const std::string>& text,
                                const std::shared_ptr<const std::string>& data) {
  for (auto& [id, to] : doing_->listeners) {
    if (to.delta_turn != turn && !to.misses_deltas)
      send_text_so_far(to);
    send_delta(to, {key_, id, turn, text, data, false, false});
  }
  return doing_->listeners.size();
}

/// Unless it is too far behind: then nothing more until it has caught up.
void session::send_delta(subscription& to, delta_arrived part) {
  const auto bytes = part.text->size() + part.data->size();
  to.misses_deltas = to.misses_deltas || to.deltas_under_way.size() >= limits::subscriber_lag_deltas_max ||
                     to.delta_bytes_under_way > limits::subscriber_lag_delta_bytes_max;
  if (to.misses_deltas)
    return;
  to.delta_turn = part.turn;
  to.deltas_under_way.push_back(bytes);
  to.delta_bytes_under_way += bytes;
  send(to.subscriber, std::move(part));
}

/// Copied at most once a part, however many want it.
void session::send_text_so_far(subscription& to) {
  static const auto nothing = std::make_shared<const std::string>("{}");
  if (!turn_runs() || doing_->delta_text.empty())
    return;
  auto& shared = doing_->delta_shared;
  if (!shared)
    shared = std::make_shared<const std::string>(doing_->delta_text);
  send_delta(to, {key_, to.id, known_->last_turn->id, shared, nothing, true, doing_->delta_cut});
}

void session::take_deltas(subscription& to, std::uint64_t in_all) {
  for (; to.deltas_taken < in_all && !to.deltas_under_way.empty(); ++to.deltas_taken) {
    to.delta_bytes_under_way -= to.deltas_under_way.front();
    to.deltas_under_way.pop_front();
  }
  if (to.deltas_under_way.empty() && std::exchange(to.misses_deltas, false))
    send_text_so_far(to);
}

} // namespace colloquy::actors
