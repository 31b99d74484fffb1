#include "bench/load/log_workloads.hpp"

#include <algorithm>
#include <numeric>
#include <random>
#include <utility>

namespace colloquy::load {
namespace {

read_history last_messages(const session_key& session) {
  read_history request;
  request.session = session;
  request.order = history_order::descending;
  request.limit = messages_read;
  return request;
}

/// A page that is not what was asked for is a failure of the service, whatever it said.
std::optional<error> check_page(const result<history_page>& page) {
  if (!page)
    return page.failure();
  const auto& found = page->messages;
  const bool is_in_order = std::is_sorted(
      found.begin(), found.end(), [](const event& left, const event& right) { return left.offset > right.offset; });
  if (found.size() != messages_read || !is_in_order)
    return error{error_code::internal, "a page of the last " + std::to_string(messages_read) + " messages has " +
                                           std::to_string(found.size()) + (is_in_order ? "" : ", in a wrong order")};
  return std::nullopt;
}

void tell(const finished& then, const std::optional<error>& failure) {
  then(failure ? &*failure : nullptr, 0);
}

} // namespace

void append_workload::perform(finished then) {
  const auto session = choice_.next();
  const auto first = talk_.last_number(session);
  client_.ask(talk_.next_append(session, 1, wanted_),
              [this, session, first, then = std::move(then)](result<appended>& given) {
                if (!given)
                  return then(&given.failure(), 0);
                talk_.note(session, first, *given);
                then(nullptr, 0);
              });
}

void turn_workload::perform(finished then) {
  const auto session = choice_.next();
  client_.ask(last_messages(talk_.key(session)),
              [this, session, then = std::move(then)](result<history_page>& page) mutable {
                if (const auto failure = check_page(page))
                  return then(&*failure, 0);
                const auto first = talk_.last_number(session);
                client_.ask(talk_.next_append(session, 2, durability::durable),
                            [this, session, first, then = std::move(then)](result<appended>& given) {
                              if (!given)
                                return then(&given.failure(), 0);
                              talk_.note(session, first, *given);
                              then(nullptr, 0);
                            });
              });
}

void history_workload::perform(finished then) {
  client_.ask(last_messages(talk_.key(choice_.next())),
              [then = std::move(then)](result<history_page>& page) { tell(then, check_page(page)); });
}

wake_workload::wake_workload(load_client& client, conversation_set& talk, std::uint64_t seed)
  : client_(client)
  , talk_(talk)
  , order_(talk.size()) {
  std::iota(order_.begin(), order_.end(), std::size_t{0});
  std::shuffle(order_.begin(), order_.end(), std::mt19937_64(seed));
}

void wake_workload::prepare(prepared then) {
  talk_.make(messages_read, [this, then = std::move(then)](std::optional<error> failure) mutable {
    if (failure)
      return then(std::move(failure));
    std::vector<session_key> sessions;
    sessions.reserve(talk_.size());
    for (const auto& each : talk_.sessions())
      sessions.push_back(each.key);
    client_.put_to_sleep(sessions, [then = std::move(then)](result<std::size_t>& awake) {
      if (!awake)
        return then(awake.failure());
      if (*awake > 0)
        return then(error{error_code::internal, std::to_string(*awake) + " sessions did not fall asleep"});
      then(std::nullopt);
    });
  });
}

void wake_workload::perform(finished then) {
  client_.ask(last_messages(talk_.key(order_[next_++])),
              [then = std::move(then)](result<history_page>& page) { tell(then, check_page(page)); });
}

} // namespace colloquy::load
