#include "cli/progress_line.hpp"
#include "cli/replay_report.hpp"

#include "tests/support/catch.hpp"

#include <nlohmann/json.hpp>

using namespace colloquy;
using namespace colloquy::cli;
using colloquy::test::ContainsSubstring;

namespace {

append_outcome sample_appended() {
  append_outcome outcome;
  outcome.conversations = 3;
  outcome.messages = 40;
  outcome.turns = 9;
  outcome.durable = true;
  outcome.time = std::chrono::milliseconds{1250};
  return outcome;
}

check_outcome sample_checked() {
  check_outcome outcome;
  outcome.events = 58;
  outcome.messages = 40;
  outcome.verified = 40;
  return outcome;
}

} // namespace

TEST_CASE("a replay is good only if all came back") {
  CHECK(make_report(sample_appended(), sample_checked()).is_good());
  auto badly = [](auto change) {
    auto first = sample_appended();
    auto second = sample_checked();
    change(first, second);
    return make_report(first, second).is_good();
  };
  CHECK_FALSE(badly([](append_outcome& a, check_outcome&) { a.bad_lines = 1; }));
  CHECK_FALSE(badly([](append_outcome& a, check_outcome&) { a.failed = 1; }));
  CHECK_FALSE(badly([](append_outcome& a, check_outcome&) { a.interrupted = true; }));
  CHECK_FALSE(badly([](append_outcome& a, check_outcome& c) { a.durable = false, c.messages = 39; }));
  CHECK_FALSE(badly([](append_outcome&, check_outcome& c) { c.mismatched = 1; }));
  CHECK_FALSE(badly([](append_outcome&, check_outcome& c) { c.verified = 39; }));
  CHECK_FALSE(badly([](append_outcome&, check_outcome& c) { c.interrupted = true; }));
}

TEST_CASE("without a flush only what came back counts as durable") {
  auto first = sample_appended();
  first.durable = false;
  auto second = sample_checked();
  second.messages = 17;
  CHECK(make_report(first, second).durable == 17);
}

TEST_CASE("the report as JSON is one line of the fields promised") {
  const auto text = to_json(make_report(sample_appended(), sample_checked()));
  CHECK(text.find('\n') == std::string::npos);
  const auto json = nlohmann::json::parse(text);
  CHECK(json["conversations"] == 3);
  CHECK(json["messages"] == 40);
  CHECK(json["durable"] == 40);
  CHECK(json["verified"] == 40);
  CHECK(json["mismatched"] == 0);
  CHECK(json["bad_lines"] == 0);
  CHECK(json["seconds"] == 1.25);
  CHECK(json["messages_per_s"] == 32.0);
  CHECK(json["turns"] == 9);
  CHECK(json["events"] == 58);
}

TEST_CASE("nothing replayed takes no time and has no speed") {
  const auto json = nlohmann::json::parse(to_json(make_report({}, {})));
  CHECK(json["messages_per_s"] == 0.0);
}

TEST_CASE("the report for a person names what counts") {
  auto first = sample_appended();
  CHECK_THAT(to_text(make_report(first, sample_checked())), ContainsSubstring("messages                 40\n") &&
                                                                ContainsSubstring("messages/s               32\n") &&
                                                                !ContainsSubstring("interrupted"));
  first.interrupted = true;
  CHECK_THAT(to_text(make_report(first, sample_checked())), ContainsSubstring("interrupted\n"));
}

TEST_CASE("the progress line fits the terminal") {
  const auto text = progress_text(replay_phase::verifying, 0.5, 1'234'567, 43'210.9, 200);
  CHECK(text == "verifying [############............]  50%  1,234,567 messages  43,210/s");
  for (std::size_t width = 0; width < 100; ++width)
    CHECK(progress_text(replay_phase::verifying, 0.5, 1'234'567, 43'210.9, width).size() <= width);
  CHECK(progress_text(replay_phase::appending, std::nullopt, 12, 0, 80) == "appending  12 messages  0/s");
  CHECK(progress_text(replay_phase::flushing, std::nullopt, 12, 0, 80) == "flushing");
  CHECK_THAT(progress_text(replay_phase::verifying, 7.0, 0, -1, 80), ContainsSubstring("100%"));
}
