#include "cli/line_reader.hpp"
#include "cli/transcript.hpp"
#include "messages/limits.hpp"

#include "tests/support/catch.hpp"

#include <fstream>
#include <unistd.h>

using namespace colloquy;
using namespace colloquy::cli;
using colloquy::test::ContainsSubstring;

namespace {

/// A file that goes away again.
class temporary_file {
public:
  explicit temporary_file(std::string_view text) {
    char name[] = "/tmp/colloquy-transcript-XXXXXX";
    const int fd = ::mkstemp(name);
    REQUIRE(fd >= 0);
    ::close(fd);
    path_ = name;
    std::ofstream(path_, std::ios::binary) << text;
  }
  temporary_file(const temporary_file&) = delete;
  temporary_file& operator=(const temporary_file&) = delete;
  ~temporary_file() { std::filesystem::remove(path_); }
  const std::filesystem::path& path() const { return path_; }

private:
  std::filesystem::path path_;
};

struct seen_line {
  std::uint64_t number;
  std::string text;
  bool too_long;
  bool operator==(const seen_line&) const = default;
};

std::vector<seen_line> lines_of(std::string_view text, std::size_t bytes_max = line_bytes_max) {
  temporary_file file(text);
  auto reader = line_reader::open(file.path(), bytes_max);
  REQUIRE(reader.has_value());
  std::vector<seen_line> seen;
  for (;;) {
    auto line = reader->next();
    REQUIRE(line.has_value());
    if (!*line)
      return seen;
    seen.push_back({(*line)->number, std::string((*line)->text), (*line)->too_long});
  }
}

std::string message(std::string_view role, std::string_view content = "x") {
  return R"({"role":")" + std::string(role) + R"(","content":")" + std::string(content) + "\"}";
}

std::string refused(const std::string& line) {
  auto parsed = parse_conversation(line);
  INFO(line);
  REQUIRE_FALSE(parsed.has_value());
  return parsed.failure().message;
}

/// Messages of these roles, by first letter.
std::vector<event_input> of_roles(std::string_view letters) {
  std::vector<event_input> messages;
  for (char letter : letters) {
    event_input next;
    next.role = letter == 'u'   ? message_role::user
                : letter == 'a' ? message_role::assistant
                : letter == 't' ? message_role::tool
                                : message_role::system;
    messages.push_back(next);
  }
  return messages;
}

using steps = std::vector<replay_step>;

} // namespace

TEST_CASE("lines are numbered, and the last needs no end") {
  CHECK(lines_of("").empty());
  CHECK(lines_of("a") == std::vector<seen_line>{{1, "a", false}});
  CHECK(lines_of("a\n\nb\r\n") == std::vector<seen_line>{{1, "a", false}, {2, "", false}, {3, "b\r", false}});
}

TEST_CASE("a line over the bound is passed over whole") {
  const std::string long_one(2'000'000, 'x');
  CHECK(lines_of("ab\n" + long_one + "\ncd\n", 10) ==
        std::vector<seen_line>{{1, "ab", false}, {2, "", true}, {3, "cd", false}});
  CHECK(lines_of("ab\n" + long_one, 10) == std::vector<seen_line>{{1, "ab", false}, {2, "", true}});
  CHECK(lines_of("0123456789\n01234567890\n", 10) == std::vector<seen_line>{{1, "0123456789", false}, {2, "", true}});
}

TEST_CASE("a long line within the bound comes whole") {
  std::string long_one;
  for (int i = 0; i < 300'000; ++i)
    long_one += std::to_string(i);
  auto seen = lines_of("a\n" + long_one + "\nb\n");
  REQUIRE(seen.size() == 3);
  CHECK(seen[1].text == long_one);
  CHECK(seen[2].text == "b");
}

TEST_CASE("only a regular file that can be read is opened") {
  CHECK_THAT(line_reader::open("/nonexistent/file").failure().message, ContainsSubstring("No such file"));
  CHECK_THAT(line_reader::open("/tmp").failure().message, ContainsSubstring("folder"));
  CHECK_THAT(line_reader::open("/dev/null").failure().message, ContainsSubstring("no regular file"));
}

TEST_CASE("a conversation's messages keep their bytes, whatever else is in the line") {
  const std::string first = R"({ "role" : "user", "content":"1.0" , "metadata":{"n":1e400} })";
  auto parsed = parse_conversation(R"( {"services":["a"], "messages" : [ )" + first + " ," + message("assistant") +
                                   R"( ], "conversation_id" : "c\u00e9" } )");
  REQUIRE(parsed.has_value());
  CHECK(parsed->id_json == R"("c\u00e9")");
  REQUIRE(parsed->messages.size() == 2);
  CHECK(parsed->messages[0].data == first);
  CHECK(parsed->messages[1].role == message_role::assistant);
  CHECK(parsed->turns == 1);
  CHECK(parsed->cost_bytes == parsed->messages[0].cost_bytes() + parsed->messages[1].cost_bytes());
}

TEST_CASE("a conversation may have no messages") {
  auto parsed = parse_conversation(R"({"conversation_id":"c","messages":[]})");
  REQUIRE(parsed.has_value());
  CHECK(parsed->steps.empty());
}

TEST_CASE("a bad line is refused with its reason") {
  CHECK_THAT(refused("not json"), ContainsSubstring("not valid JSON"));
  CHECK_THAT(refused(R"({"conversation_id":"c","messages":[})"), ContainsSubstring("not valid JSON"));
  CHECK_THAT(refused("[]"), ContainsSubstring("not a JSON object"));
  CHECK_THAT(refused("{}"), ContainsSubstring("no conversation_id"));
  CHECK_THAT(refused(R"({"conversation_id":"c"})"), ContainsSubstring("no messages"));
  CHECK_THAT(refused(R"({"conversation_id":7,"messages":[]})"), ContainsSubstring("conversation_id is not a string"));
  CHECK_THAT(refused(R"({"conversation_id":"","messages":[]})"), ContainsSubstring("0 characters"));
  CHECK_THAT(refused(R"({"conversation_id":"\ud800","messages":[]})"), ContainsSubstring("surrogate"));
  CHECK_THAT(refused(R"({"conversation_id":"c","messages":{}})"), ContainsSubstring("messages is not an array"));
  CHECK_THAT(refused(R"({"conversation_id":"c","messages":[],"messages":[]})"), ContainsSubstring("twice"));
  CHECK_THAT(refused(R"({"conversation_id":"c","messages":[],"other":[1,}]})"), ContainsSubstring("not valid JSON"));
  CHECK_THAT(refused(R"({"conversation_id":"c","messages":[)" + message("user") + "," + message("robot") + "]}"),
             ContainsSubstring("message 2: role 'robot'"));
}

TEST_CASE("each exchange is a turn") {
  CHECK(make_steps({}).empty());
  CHECK(make_steps(of_roles("u")) == steps{{step_kind::start_turn, 0, 1}, {step_kind::end_turn, 1, 0}});
  CHECK(make_steps(of_roles("sa")) == steps{{step_kind::append, 0, 2}});
  CHECK(make_steps(of_roles("suatauua")) == steps{{step_kind::append, 0, 1},
                                                  {step_kind::start_turn, 1, 1},
                                                  {step_kind::end_turn, 2, 3},
                                                  {step_kind::start_turn, 5, 1},
                                                  {step_kind::end_turn, 6, 0},
                                                  {step_kind::start_turn, 6, 1},
                                                  {step_kind::end_turn, 7, 1}});
}

TEST_CASE("no request has more events than an append may") {
  const auto most = limits::events_per_append_max;
  std::string roles(most + 1, 's');
  roles += 'u';
  roles.append(2 * most, 'a');
  CHECK(make_steps(of_roles(roles)) == steps{{step_kind::append, 0, most},
                                             {step_kind::append, most, 1},
                                             {step_kind::start_turn, most + 1, 1},
                                             {step_kind::append_in_turn, most + 2, most},
                                             {step_kind::end_turn, 2 * most + 2, most}});
}

TEST_CASE("large messages go in requests of their own") {
  auto messages = of_roles("uaaa");
  for (auto& each : messages)
    each.data = std::string(limits::event_bytes_max, 'x');
  CHECK(make_steps(messages) == steps{{step_kind::start_turn, 0, 1},
                                      {step_kind::append_in_turn, 1, 1},
                                      {step_kind::append_in_turn, 2, 1},
                                      {step_kind::end_turn, 3, 1}});
}

TEST_CASE("files are read one after the other, and bad lines are named") {
  const std::string good = R"({"conversation_id":"c","messages":[)" + message("user") + "]}";
  temporary_file first(good + "\n\nbad\n" + good);
  temporary_file second(" \n" + good + "\n" + std::string(200, ' ') + "\n");
  transcript_reader reader({first.path(), "/nonexistent/file", second.path()}, 100);
  std::vector<std::string> seen;
  for (;;) {
    auto item = reader.next();
    if (std::holds_alternative<transcript_reader::end>(item))
      break;
    if (auto* bad = std::get_if<bad_line>(&item))
      seen.push_back("bad " + std::to_string(bad->file) + ":" + std::to_string(bad->line));
    else {
      const auto& read = *std::get<std::shared_ptr<const conversation>>(item);
      seen.push_back(std::to_string(read.file) + ":" + std::to_string(read.line));
    }
  }
  CHECK(seen == std::vector<std::string>{"0:1", "bad 0:3", "0:4", "bad 1:0", "2:2", "bad 2:3"});
}
