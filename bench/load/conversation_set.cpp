#include "bench/load/conversation_set.hpp"

#include <algorithm>
#include <utility>

namespace colloquy::load {
namespace {

constexpr std::size_t made_at_once = 256;
constexpr std::size_t read_at_once = 16;

error wrong(std::size_t session, event_offset at, const std::string& what) {
  return {error_code::internal,
          "read back, session " + std::to_string(session) + " offset " + std::to_string(at) + ": " + what};
}

} // namespace

/// Some sessions at a time, each in some steps; over when all are, or one has failed and the others' steps are over.
struct conversation_set::walk {
  std::size_t next = 0;
  std::size_t under_way = 0;
  std::size_t events = 0;
  std::size_t messages_each = 0;
  std::optional<error> failure{};
  std::function<void(walk&)> over;

  void fail(error why) {
    if (!failure)
      failure = std::move(why);
  }
};

conversation_set::conversation_set(load_client& client, std::size_t sessions, std::size_t tenants,
                                   std::size_t message_bytes)
  : client_(client)
  , wanted_(sessions)
  , tenants_(std::min(tenants, client.tenants()))
  , texts_({}, message_bytes)
  , sessions_(sessions)
  , said_(sessions) {}

void conversation_set::make(std::size_t messages_each, prepared then) {
  if (std::exchange(is_made_, true))
    return then(std::nullopt);
  auto through = std::make_shared<walk>();
  through->messages_each = messages_each;
  through->over = [then = std::move(then)](walk& done) { then(std::move(done.failure)); };
  through->under_way = std::min(made_at_once, wanted_);
  for (std::size_t i = through->under_way; i > 0; --i)
    make_next(through);
}

void conversation_set::make_next(const std::shared_ptr<walk>& through) {
  if (through->next == wanted_ || through->failure) {
    if (--through->under_way == 0)
      through->over(*through);
    return;
  }
  const auto session = through->next++;
  create_session request;
  request.tenant = client_.tenant(session % tenants_);
  request.user_id = "bench";
  client_.ask(std::move(request), [this, through, session](result<session_record>& made) {
    if (made)
      sessions_[session] = std::move(*made);
    else
      through->fail(made.failure());
    if (made && through->messages_each > 0)
      return say_first(through, session);
    make_next(through);
  });
}

void conversation_set::say_first(const std::shared_ptr<walk>& through, std::size_t session) {
  const auto first = last_number(session);
  client_.ask(next_append(session, through->messages_each, durability::durable),
              [this, through, session, first](result<appended>& given) {
                if (given)
                  note(session, first, *given);
                else
                  through->fail(given.failure());
                make_next(through);
              });
}

append_events conversation_set::next_append(std::size_t session, std::size_t messages, durability wanted) {
  append_events request;
  request.session = sessions_[session].key;
  request.wanted = wanted;
  request.events.reserve(messages);
  for (std::size_t i = 0; i < messages; ++i)
    request.events.push_back(texts_.message({session, static_cast<event_offset>(said_[session].numbers++)}));
  return request;
}

void conversation_set::note(std::size_t session, std::uint64_t first_number, const appended& given) {
  auto& by_offset = said_[session].by_offset;
  const auto first = static_cast<std::size_t>(given.first_offset);
  if (by_offset.size() < first + given.count)
    by_offset.resize(first + given.count);
  for (std::size_t i = 0; i < given.count; ++i)
    by_offset[first + i] = static_cast<std::uint32_t>(first_number + i + 1);
}

void conversation_set::verify(std::function<void(result<std::size_t>)> then) {
  auto through = std::make_shared<walk>();
  through->over = [then = std::move(then)](walk& done) {
    then(done.failure ? result<std::size_t>(*done.failure) : result<std::size_t>(done.events));
  };
  through->under_way = std::min(read_at_once, wanted_);
  for (std::size_t i = through->under_way; i > 0; --i)
    read_next(through);
}

void conversation_set::read_next(const std::shared_ptr<walk>& through) {
  // A loop and no recursion over sessions in which nothing was said.
  while (through->next < wanted_ && said_[through->next].by_offset.empty())
    ++through->next;
  if (through->next == wanted_ || through->failure) {
    if (--through->under_way == 0)
      through->over(*through);
    return;
  }
  read_on(through, through->next++, -1);
}

void conversation_set::read_on(const std::shared_ptr<walk>& through, std::size_t session, event_offset after) {
  read_events request;
  request.session = sessions_[session].key;
  request.after = after;
  request.limit = limits::page_events_max;
  request.from_database = true;
  client_.ask(std::move(request), [this, through, session, after](result<event_page>& page) {
    if (!page) {
      through->fail(page.failure());
    } else if (auto difference = compare(session, after, *page)) {
      through->fail(std::move(*difference));
    } else if (!page->events.empty()) {
      through->events += page->events.size();
      return read_on(through, session, page->events.back().offset);
    } else if (const auto end = static_cast<event_offset>(said_[session].by_offset.size()); after + 1 != end) {
      through->fail(wrong(session, after + 1, "the log ends before " + std::to_string(end - 1)));
    }
    read_next(through);
  });
}

std::optional<error> conversation_set::compare(std::size_t session, event_offset after, const event_page& page) const {
  const auto& by_offset = said_[session].by_offset;
  for (const auto& each : page.events) {
    if (each.offset != ++after)
      return wrong(session, after, "the next event is at " + std::to_string(each.offset));
    const auto at = static_cast<std::size_t>(after);
    if (at >= by_offset.size() || by_offset[at] == 0)
      return wrong(session, after, "nobody was told of an event there");
    const auto expected = texts_.message({session, static_cast<event_offset>(by_offset[at]) - 1});
    if (each.data != expected.data)
      return wrong(session, after, "it should be " + expected.data + " and is " + each.data.substr(0, 200));
  }
  return std::nullopt;
}

} // namespace colloquy::load
