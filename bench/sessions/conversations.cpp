#include "bench/sessions/conversations.hpp"

#include <algorithm>
#include <functional>
#include <optional>

namespace colloquy::bench {
namespace {

using namespace std::chrono_literals;

constexpr auto progress_max = 60s; // without an answer, the run has failed

/// What one actor has of all conversations that are under way.
struct making {
  std::shared_ptr<const conversations> talk;
  directory_actor directory;
  std::vector<session_id> sessions;
  std::size_t begun = 0;
  std::size_t done = 0;
  std::size_t done_seen = 0; // by the last watch
  std::optional<std::string> failure;
};

/// Each step is asked when the one before is answered; the last one begins the next conversation.
class maker {
public:
  maker(caf::event_based_actor* self, std::shared_ptr<making> state)
    : self_(self)
    , state_(std::move(state)) {}

  void begin_next() const {
    if (state_->begun == state_->sessions.size() || state_->failure)
      return;
    const auto number = state_->begun++;
    ask(state_->talk->creation(number), [*this, number](session_record& made) {
      state_->sessions[number] = made.key.id;
      start(number, made.key);
    });
  }

private:
  /// Without a timeout of CAF's, whose clock would keep an entry of each for as long; the watch looks after all.
  template <class Request, class Then>
  void ask(Request request, Then then) const {
    self_->request(state_->directory, caf::infinite, std::move(request))
        .then(
            [*this, then](result<typename Request::reply>& answer) {
              if (!answer)
                return fail("a request was refused: " + answer.failure().message);
              then(*answer);
            },
            [*this](const caf::error&) { fail("a request was not answered"); });
  }

  void start(std::size_t number, const session_key& session) const {
    ask(state_->talk->beginning(number, session),
        [*this, number, session](granted_turn& granted) { say(number, session, granted.turn.id); });
  }

  void say(std::size_t number, const session_key& session, turn_id turn) const {
    ask(state_->talk->middle(number, session, turn),
        [*this, number, session, turn](appended&) { end(number, session, turn); });
  }

  void end(std::size_t number, const session_key& session, turn_id turn) const {
    ask(state_->talk->ending(number, session, turn), [*this](turn_record&) {
      if (++state_->done == state_->sessions.size())
        self_->quit();
      else
        begin_next();
    });
  }

  void fail(std::string why) const {
    state_->failure = std::move(why);
    self_->quit();
  }

  caf::event_based_actor* self_;
  std::shared_ptr<making> state_;
};

caf::behavior watch_over(caf::event_based_actor* self, std::shared_ptr<making> state) {
  self->delayed_send(self, progress_max, std::size_t{0});
  return {[self, state](std::size_t) {
    if (std::exchange(state->done_seen, state->done) == state->done) {
      state->failure = "no conversation ended for " + std::to_string(progress_max.count()) + " s";
      self->quit();
    }
    self->delayed_send(self, progress_max, std::size_t{0});
  }};
}

} // namespace

conversations::conversations(std::size_t tenants, std::size_t messages, std::size_t message_bytes,
                             std::size_t metadata_bytes)
  : messages_(messages)
  , metadata_bytes_(metadata_bytes)
  , work_({}, message_bytes) {
  for (std::size_t i = 0; i < tenants; ++i)
    tenants_.push_back(tenant_id::parse("tenant-" + std::to_string(i)).value_or(tenant_id()));
}

/// As the database gives it back, where it is jsonb: keys in order, one space behind each colon and comma.
std::string conversations::metadata(std::size_t conversation) const {
  auto text = R"({"number": )" + std::to_string(conversation) + R"(, "purpose": ")";
  text.append(metadata_bytes_ - std::min(metadata_bytes_, text.size() + 2), 'x');
  return text + "\"}";
}

create_session conversations::creation(std::size_t conversation) const {
  create_session request;
  request.tenant = tenant(conversation);
  request.user_id = "user-" + std::to_string(conversation % 1000);
  request.metadata = metadata(conversation);
  return request;
}

start_turn conversations::beginning(std::size_t conversation, const session_key& session) const {
  start_turn request;
  request.session = session;
  request.events.push_back(work_.message({conversation, 0}));
  request.repeat = idempotency{"turn-" + std::to_string(conversation), "fingerprint"};
  return request;
}

append_events conversations::middle(std::size_t conversation, const session_key& session, turn_id turn) const {
  append_events request;
  request.session = session;
  request.turn = turn;
  for (std::size_t i = 1; i + 1 < messages_; ++i)
    request.events.push_back(work_.message({conversation, static_cast<event_offset>(i)}));
  return request;
}

end_turn conversations::ending(std::size_t conversation, const session_key& session, turn_id turn) const {
  end_turn request;
  request.session = session;
  request.turn = turn;
  request.usage = token_usage{1000, 200};
  request.events.push_back(work_.message({conversation, static_cast<event_offset>(messages_) - 1}));
  return request;
}

void conversations::check_record(std::size_t conversation, const session_record& found) const {
  if (found.metadata != metadata(conversation) || found.turn_count != 1 || found.total_tokens != 1200 ||
      found.next_offset != static_cast<event_offset>(events()) || found.durable_offset + 1 != found.next_offset)
    throw bench_failure("session " + std::to_string(conversation) + " came back as another: " + found.metadata +
                        ", next offset " + std::to_string(found.next_offset));
}

void conversations::check_last_messages(std::size_t conversation, std::size_t count, const history_page& found) const {
  if (found.messages.size() != std::min(count, messages_))
    throw bench_failure("a history has " + std::to_string(found.messages.size()) + " messages");
  for (std::size_t i = 0; i < found.messages.size(); ++i)
    if (found.messages[i].data != work_.message({conversation, static_cast<event_offset>(messages_ - 1 - i)}).data)
      throw bench_failure("a history has a message that is not its own: " + found.messages[i].data);
}

std::vector<session_id> have_conversations(sessions_service& service, std::shared_ptr<const conversations> talk,
                                           std::size_t count, std::size_t at_once) {
  auto state = std::make_shared<making>();
  state->talk = std::move(talk);
  state->directory = service.directory();
  state->sessions.resize(count);
  service.await(service.system().spawn([state, at_once](caf::event_based_actor* self) {
    self->become(watch_over(self, state));
    for (std::size_t i = 0; i < at_once; ++i)
      maker(self, state).begin_next();
  }));
  if (state->failure)
    throw bench_failure(*state->failure);
  service.must(flush{});
  return std::move(state->sessions);
}

} // namespace colloquy::bench
