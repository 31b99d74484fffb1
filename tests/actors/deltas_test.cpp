// Parts of a reply: for those who listen now, and the text so far for one who comes late. Nothing of it is kept.
#include "tests/actors/turns_fixture.hpp"

#include "messages/text_checks.hpp"

using namespace colloquy;
using namespace colloquy::test;
using namespace std::chrono_literals;

namespace {

struct heard {
  subscription_id subscription = 0;
  std::vector<delta_arrived> deltas{};
  texts events{};

  texts parts() const {
    texts out;
    for (const auto& each : deltas)
      out.push_back((each.is_text_so_far ? "so far: " : "") + *each.text);
    return out;
  }
};

/// Listens from the end of the log on.
std::shared_ptr<heard> listen(turns& service) {
  auto news = std::make_shared<heard>();
  subscribe_events request;
  request.session = service.session;
  request.after = service.record().durable_offset;
  request.subscriber = caf::actor_cast<event_subscriber>(
      service.steps.system().spawn([news](event_subscriber::pointer) -> event_subscriber::behavior_type {
        return {[news](const events_arrived& arrived) {
                  for (auto& text : texts_of(*arrived.events))
                    news->events.push_back(text);
                },
                [news](delta_arrived& delta) { news->deltas.push_back(std::move(delta)); },
                [](const subscription_ended&) {}};
      }));
  const auto made = service.ask(request);
  REQUIRE(made);
  news->subscription = made->subscription;
  return news;
}

void take(turns& service, const heard& by, std::size_t deltas) {
  caf::anon_send(service.directory, events_taken{service.session, by.subscription, -1, deltas});
  service.steps.run();
}

void say_part(turns& service, turn_id turn, const std::string& text, std::size_t listeners) {
  const auto passed = service.ask(service.part(turn, text));
  REQUIRE(passed);
  CHECK(passed.value().listeners == listeners);
}

} // namespace

TEST_CASE("parts of a reply reach all who listen, in order, and are not kept") {
  turns service;
  const auto turn = service.start();
  say_part(service, turn.id, "nobody ", 0);
  const auto one = listen(service), other = listen(service);
  auto part = service.part(turn.id, "hears ");
  part.data = R"({"model":"m"})";
  REQUIRE(service.ask(part));
  say_part(service, turn.id, "this", 2);
  for (const auto& each : {one, other}) {
    CHECK(each->parts() == texts{"so far: nobody ", "hears ", "this"});
    CHECK(*each->deltas[1].data == R"({"model":"m"})");
    CHECK(each->deltas[1].turn == turn.id);
    CHECK(each->deltas[1].session == service.session);
  }
  CHECK(service.everything() == texts{"<running 1>"});
  CHECK(service.budget->used_bytes() == 0);
}

TEST_CASE("one who comes late gets the text so far once, then the parts") {
  turns service;
  const auto turn = service.start();
  const auto early = listen(service);
  for (const char* text : {"a", "b", "c"})
    say_part(service, turn.id, text, 1);
  const auto late = listen(service);
  CHECK(late->parts() == texts{"so far: abc"});
  CHECK_FALSE(late->deltas[0].is_cut);
  say_part(service, turn.id, "d", 2);
  CHECK(late->parts() == texts{"so far: abc", "d"});
  CHECK(early->parts() == texts{"a", "b", "c", "d"});
}

TEST_CASE("only the running turn passes on parts") {
  turns service;
  CHECK(service.refusal(service.part(turn_id::make(), "x")) == error_code::turn_lost);
  const auto turn = service.start();
  auto waiting = service.wanted();
  waiting.id = turn_id::make();
  service.send(waiting);
  CHECK(service.refusal(service.part(*waiting.id, "x")) == error_code::turn_lost);
  REQUIRE(service.ask(service.ending(turn.id)));
  CHECK(service.refusal(service.part(turn.id, "x")) == error_code::turn_lost);
  CHECK_FALSE(service.refusal(service.part(*waiting.id, "x")));
}

TEST_CASE("a part that is too large or no text is refused, and nobody hears of it") {
  turns service;
  const auto turn = service.start();
  const auto listener = listen(service);
  CHECK(service.refusal(service.part(turn.id, std::string(limits::delta_bytes_max, 'x'))) ==
        error_code::payload_too_large); // with its data
  CHECK(service.refusal(service.part(turn.id, "\xc3")) == error_code::invalid_request);
  CHECK(service.refusal(service.part(turn.id, std::string("a\0b", 3))) == error_code::invalid_request);
  CHECK(listener->deltas.empty());
  say_part(service, turn.id, std::string(limits::delta_bytes_max - 2, 'x'), 1);
}

TEST_CASE("the text so far is forgotten with the turn's next message, and with nothing else") {
  turns service;
  const auto turn = service.start();
  say_part(service, turn.id, "first ", 0);
  auto progress = service.saying("{}", turn.id);
  progress.events[0].kind = event_kind::custom;
  progress.events[0].role = message_role::none;
  REQUIRE(service.ask(progress));
  REQUIRE(service.ask(service.saying("another's")));
  CHECK(service.refusal(service.saying("\xff", turn.id)) == error_code::invalid_request);
  REQUIRE(service.ask(service.renewing(turn.id)));
  CHECK(listen(service)->parts() == texts{"so far: first "});
  REQUIRE(service.ask(service.saying("first message", turn.id)));
  CHECK(listen(service)->parts().empty());
  say_part(service, turn.id, "second", 2);
  CHECK(listen(service)->parts() == texts{"so far: second"});
}

TEST_CASE("the text so far is forgotten with the end of its turn, however that ends") {
  for (const auto how : {turn_status::completed, turn_status::cancelled, turn_status::interrupted, turn_status::lost}) {
    turns service;
    const auto turn = service.start();
    const auto early = listen(service);
    say_part(service, turn.id, "old", 1);
    turn_id next;
    if (how == turn_status::interrupted) {
      next = service.ask(service.wanted({}, turn_policy::interrupt)).value().turn.id;
    } else {
      if (how == turn_status::lost)
        service.steps.advance(61s);
      else
        REQUIRE(service.ask(service.ending(turn.id, how)));
      next = service.start().id;
    }
    const auto late = listen(service);
    CHECK(late->parts().empty());
    say_part(service, next, "new", 2);
    CHECK(late->parts() == texts{"new"});
    CHECK(early->parts() == texts{"old", "new"});
    CHECK(early->deltas.back().turn == next);
  }
}

TEST_CASE("of a long reply the end is kept, cut where a character begins, and said to be cut") {
  turns service;
  const auto turn = service.start();
  std::string all = "x"; // so that the cut would fall within a character
  const std::string part = [] {
    std::string text;
    while (text.size() + 3 <= limits::delta_bytes_max - 2)
      text += "\u20ac";
    return text;
  }();
  say_part(service, turn.id, "x", 0);
  while (all.size() <= limits::deltas_kept_bytes_max) {
    say_part(service, turn.id, part, 0);
    all += part;
  }
  const auto late = listen(service);
  REQUIRE(late->deltas.size() == 1);
  const auto& so_far = late->deltas[0];
  CHECK(so_far.is_text_so_far);
  CHECK(so_far.is_cut);
  CHECK(so_far.text->size() <= limits::deltas_kept_bytes_max);
  CHECK(so_far.text->size() > limits::deltas_kept_bytes_max - 4);
  CHECK(is_storable_text(*so_far.text));
  CHECK(all.ends_with(*so_far.text));
  REQUIRE(service.ask(service.saying("message", turn.id)));
  say_part(service, turn.id, "next", 1);
  const auto next = listen(service);
  REQUIRE(next->deltas.size() == 1);
  CHECK_FALSE(next->deltas[0].is_cut);
}

TEST_CASE(
    "who does not take the parts of a reply is sent a bounded number, and the text so far once it has taken them") {
  turns service;
  const auto turn = service.start();
  const auto slow = listen(service), quick = listen(service);
  std::string said;
  for (std::size_t i = 0; i < limits::subscriber_lag_deltas_max + 5; ++i) {
    said += std::to_string(i % 10);
    say_part(service, turn.id, std::to_string(i % 10), 2);
    take(service, *quick, quick->deltas.size());
  }
  const auto got = limits::subscriber_lag_deltas_max;
  CHECK(quick->deltas.size() == got + 5);
  REQUIRE(slow->deltas.size() == got);
  take(service, *slow, got - 1);
  CHECK(slow->deltas.size() == got); // not all of them
  take(service, *slow, got);
  REQUIRE(slow->parts().back() == "so far: " + said);
  say_part(service, turn.id, "x", 2);
  CHECK(slow->parts().back() == "x");
}

TEST_CASE("large parts that are not taken are bounded by their bytes") {
  turns service;
  const auto turn = service.start();
  const auto listener = listen(service);
  const std::string large(limits::delta_bytes_max / 2, 'x');
  for (int i = 0; i < 20; ++i)
    say_part(service, turn.id, large, 1);
  const auto fit = limits::subscriber_lag_delta_bytes_max / (large.size() + std::string("{}").size()) + 1;
  CHECK(listener->deltas.size() == fit);
  take(service, *listener, 1000); // more than it got
  CHECK(listener->deltas.size() == fit + 1);
  CHECK(listener->deltas.back().is_text_so_far);
}

TEST_CASE("who was too far behind in one turn hears the next one from its beginning") {
  turns service;
  const auto first = service.start();
  const auto listener = listen(service);
  for (std::size_t i = 0; i < limits::subscriber_lag_deltas_max + 1; ++i)
    say_part(service, first.id, "a", 1);
  REQUIRE(service.ask(service.ending(first.id)));
  const auto second = service.start();
  say_part(service, second.id, "b", 1);
  CHECK(listener->deltas.size() == limits::subscriber_lag_deltas_max);
  take(service, *listener, listener->deltas.size());
  CHECK(listener->parts().back() == "so far: b");
  CHECK(listener->deltas.back().turn == second.id);
}

TEST_CASE("a reader of a shared session hears parts of a reply and cannot send any") {
  turns service;
  const auto turn = service.start();
  set_participant share;
  share.session = service.session;
  share.user_id = "eve";
  share.role = participant_role::reader;
  REQUIRE(service.ask(share));
  auto part = service.part(turn.id, "x");
  part.as_user = "eve";
  CHECK(service.refusal(part) == error_code::forbidden);
  part.as_user = "mallory";
  CHECK(service.refusal(part) == error_code::not_found);
  part.as_user = "ada";
  CHECK_FALSE(service.refusal(part));
}

TEST_CASE("a stop is a call of its own: those who listen hear that the turn was cancelled, and no part after it") {
  turns service;
  const auto turn = service.start();
  const auto listener = listen(service);
  say_part(service, turn.id, "a", 1);
  auto stopped = service.send(service.ending(turn.id, turn_status::cancelled)); // by anybody, not only its owner
  auto late = service.send(service.part(turn.id, "b"));
  service.steps.run();
  CHECK_FALSE(code_of(stopped));
  CHECK(code_of(late) == error_code::turn_lost);
  CHECK(listener->parts() == texts{"a"});
  CHECK(listener->events == texts{"<cancelled 1>"});
}

TEST_CASE("while an agent thinks no connection is held for it") {
  turns service;
  const auto leases = service.pool.leases();
  std::vector<turn_record> running;
  std::vector<session_key> sessions;
  for (int i = 0; i < 50; ++i) {
    sessions.push_back(service.make_session());
    start_turn request;
    request.session = sessions.back();
    running.push_back(service.ask(request).value().turn);
  }
  service.steps.advance(30s);
  CHECK(service.pool.leases() == leases); // the writer's
  CHECK(service.pool.held() == 0);
  for (std::size_t i = 0; i < sessions.size(); ++i) {
    auto end = service.ending(running[i].id);
    end.session = sessions[i];
    CHECK_FALSE(service.refusal(end));
  }
}
