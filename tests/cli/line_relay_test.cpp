// Standard input and output passed on to a service's socket: pipes on one side, a socket pair on the other.
#include "cli/line_relay.hpp"
#include "cli/process_title.hpp"
#include "tests/support/catch.hpp"

#include <array>
#include <sys/socket.h>
#include <thread>
#include <unistd.h>

namespace colloquy::cli {
namespace {

struct pipe_pair {
  pipe_pair() { REQUIRE(::pipe(ends.data()) == 0); }
  pipe_pair(const pipe_pair&) = delete;
  pipe_pair& operator=(const pipe_pair&) = delete;
  ~pipe_pair() {
    close(0);
    close(1);
  }
  void close(std::size_t which) {
    if (ends[which] >= 0)
      ::close(ends[which]);
    ends[which] = -1;
  }
  std::array<int, 2> ends{-1, -1};
};

void put(int file, const std::string& text) {
  REQUIRE(::write(file, text.data(), text.size()) == static_cast<ssize_t>(text.size()));
}

/// Up to and with the line's end.
std::string line_of(int file) {
  std::string out;
  for (char c = 0; ::read(file, &c, 1) == 1;) {
    out += c;
    if (c == '\n')
      break;
  }
  return out;
}

/// A relay that runs beside the test, against services that come and go.
class Running {
public:
  explicit Running(relay_settings settings = {})
    : relay(input.ends[0], output.ends[1], std::move(settings)) {}
  ~Running() { finish(); }

  int connect() {
    finish();
    std::array<int, 2> ends{};
    REQUIRE(::socketpair(AF_UNIX, SOCK_STREAM, 0, ends.data()) == 0);
    thread = std::thread([this, socket = ends[1]] { end = relay.run(socket, [] { return false; }); });
    return ends[0];
  }
  void finish() {
    if (thread.joinable())
      thread.join();
  }
  void say(const std::string& line) { put(input.ends[1], line + "\n"); }
  std::string heard() { return line_of(output.ends[0]); }

  pipe_pair input, output;
  line_relay relay;
  std::thread thread;
  relay_end end = relay_end::stopped;
};

const std::string opening = R"({"jsonrpc":"2.0","id":0,"method":"initialize","params":{}})";
const std::string opened = R"({"jsonrpc":"2.0","id":0,"result":{}})";

} // namespace

TEST_CASE("lines pass in both directions, and the end of input ends it once all is answered") {
  Running running;
  const int service = running.connect();
  running.say(R"({"jsonrpc":"2.0","id":1,"method":"ping"})");
  CHECK(line_of(service) == "{\"jsonrpc\":\"2.0\",\"id\":1,\"method\":\"ping\"}\n");
  running.input.close(1);
  CHECK(line_of(service).empty()); // it says no more
  put(service, "{\"jsonrpc\":\"2.0\",\"id\":1,\"result\":{}}\n");
  ::close(service);
  CHECK(running.heard() == "{\"jsonrpc\":\"2.0\",\"id\":1,\"result\":{}}\n");
  running.finish();
  CHECK(running.end == relay_end::client_done);
}

TEST_CASE("another service hears what the client opened with, and the client is not answered twice") {
  Running running;
  const int first = running.connect();
  running.say(opening);
  CHECK(line_of(first) == opening + "\n");
  put(first, opened + "\n");
  CHECK(running.heard() == opened + "\n");
  running.say(R"({"jsonrpc":"2.0","id":1,"method":"tools/list"})");
  line_of(first);
  ::close(first);
  running.finish();
  CHECK(running.end == relay_end::socket_lost);
  const int second = running.connect();
  const auto lost = running.heard(); // what was under way
  CHECK(lost.find("\"id\":1") != std::string::npos);
  CHECK(lost.find("-32603") != std::string::npos);
  CHECK(line_of(second) == opening + "\n");
  put(second, opened + "\n");
  running.say(R"({"jsonrpc":"2.0","id":2,"method":"ping"})");
  CHECK(line_of(second).find("\"id\":2") != std::string::npos);
  put(second, "{\"jsonrpc\":\"2.0\",\"id\":2,\"result\":{}}\n");
  CHECK(running.heard() == "{\"jsonrpc\":\"2.0\",\"id\":2,\"result\":{}}\n");
  running.input.close(1);
  line_of(second);
  ::close(second);
}

TEST_CASE("what was cancelled is not answered when the service moves, and each of a batch is") {
  Running running;
  const int first = running.connect();
  running.say(R"({"jsonrpc":"2.0","id":1,"method":"tools/list"})");
  running.say(R"({"jsonrpc":"2.0","method":"notifications/cancelled","params":{"requestId":1}})");
  running.say(R"( [{"jsonrpc":"2.0","id":2,"method":"ping"}])");
  for (int i = 0; i < 3; ++i)
    line_of(first);
  ::close(first);
  const int second = running.connect();
  running.input.close(1);
  CHECK(running.heard().find("\"id\":2,\"error\"") != std::string::npos);
  ::close(second);
  running.finish();
  running.output.close(1);
  CHECK(running.heard().empty());
}

TEST_CASE("a message that is too long is refused and passed over, and a greeting comes before all else") {
  Running running({.line_bytes_max = 60, .greeting = "hello"});
  for (int i = 0; i < 2; ++i) {
    const int service = running.connect();
    CHECK(line_of(service) == "hello\n");
    running.say(R"({"jsonrpc":"2.0","method":"ping","params":{"x":")" + std::string(100, 'x') + R"("},"id":4})");
    CHECK(running.heard().find("\"id\":4,\"error\":{\"code\":-32600") != std::string::npos);
    running.say(R"({"jsonrpc":"2.0","method":"notifications/x"})");
    CHECK(line_of(service) == "{\"jsonrpc\":\"2.0\",\"method\":\"notifications/x\"}\n");
    ::close(service);
    running.finish();
  }
}

TEST_CASE("bytes that wait are moved no more often than they are many") {
  byte_queue queue;
  std::string all, taken;
  for (int i = 0; i < 1000; ++i) {
    all += std::to_string(i);
    queue.add(std::to_string(i));
    const auto some = queue.waiting().substr(0, 2);
    taken += some;
    queue.take(some.size());
  }
  queue.add_first("<");
  CHECK(taken + "<" + all.substr(taken.size()) == taken + std::string(queue.waiting()));
  // Taken in front of it in small pieces, 64 MiB would else be moved 16,384 times.
  byte_queue large;
  large.add(std::string(std::size_t{64} << 20, 'x'));
  std::size_t moved = 0;
  while (!large.empty()) {
    const auto before = large.waiting().data();
    large.take(std::min<std::size_t>(large.size(), 4096));
    if (!large.empty() && large.waiting().data() <= before)
      moved += large.size();
  }
  CHECK(moved <= std::size_t{64} << 20);
}

TEST_CASE("a client that reads no more ends it") {
  Running running;
  const int service = running.connect();
  running.output.close(0);
  running.finish();
  CHECK(running.end == relay_end::client_done);
  ::close(service);
}

TEST_CASE("arguments that may hold a password are overwritten where the system shows them") {
  std::array<std::string, 8> words{"colloquy",
                                   "mcp",
                                   "--database",
                                   "postgresql://u:p@h/d",
                                   "--admin-key=verysecretkey",
                                   "--connection-string",
                                   "host=h password=p",
                                   "--log-level"};
  std::array<char*, 8> argv{};
  for (std::size_t i = 0; i < words.size(); ++i)
    argv[i] = words[i].data();
  const auto taken = take_arguments(static_cast<int>(argv.size()), argv.data());
  CHECK(taken[3] == "postgresql://u:p@h/d");
  CHECK(taken[4] == "--admin-key=verysecretkey");
  CHECK(words[3] == std::string(taken[3].size(), 'x'));
  CHECK(words[4] == "--admin-key=xxxxxxxxxxxxx");
  CHECK(words[6] == std::string(taken[6].size(), 'x'));
  CHECK(words[1] == "mcp");
  CHECK(words[7] == "--log-level");
}

} // namespace colloquy::cli
