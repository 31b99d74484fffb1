// Each fault of tests/support/tcp_proxy.hpp, seen by plain libpq and by a raw socket. Every wait is bounded; what must
// not happen is waited for a moment only, since it cannot happen by being slow.
#include "tests/support/catch.hpp"
#include "tests/support/free_port.hpp"
#include "tests/support/tcp_proxy.hpp"
#include "tests/support/test_cluster.hpp"

#include <arpa/inet.h>
#include <future>
#include <memory>
#include <poll.h>
#include <thread>

using namespace colloquy::test;
using namespace std::chrono_literals;

namespace {

using steady = std::chrono::steady_clock;

constexpr int soon_ms = 20000; ///< for what will happen
constexpr int moment_ms = 150; ///< for what will not

/// A client that sees single bytes.
class raw_client {
public:
  explicit raw_client(int port)
    : fd_(::socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0)) {
    sockaddr_in address{};
    address.sin_family = AF_INET;
    address.sin_port = htons(static_cast<std::uint16_t>(port));
    address.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
    connected_ = ::connect(fd_, reinterpret_cast<const sockaddr*>(&address), sizeof address) == 0;
  }
  raw_client(const raw_client&) = delete;
  raw_client& operator=(const raw_client&) = delete;
  ~raw_client() { ::close(fd_); }

  bool connected() const { return connected_; }

  void send(std::string_view bytes) const {
    REQUIRE(::send(fd_, bytes.data(), bytes.size(), MSG_NOSIGNAL) == static_cast<ssize_t>(bytes.size()));
  }

  bool readable(int milliseconds) const {
    pollfd entry{fd_, POLLIN, 0};
    return ::poll(&entry, 1, milliseconds) == 1;
  }

  /// All there is until the other side ends it: its bytes, then "<end>", "<reset>", or "<silent>" after that time.
  std::string heard(int milliseconds = soon_ms) const {
    std::string all;
    while (true) {
      if (!readable(milliseconds))
        return all + "<silent>";
      char bytes[4096];
      const auto got = ::recv(fd_, bytes, sizeof bytes, 0);
      if (got <= 0)
        return all + (got == 0 ? "<end>" : "<reset>");
      all.append(bytes, static_cast<std::size_t>(got));
    }
  }

private:
  int fd_ = -1;
  bool connected_ = false;
};

/// Asks whether the server speaks TLS. Over its unix socket it does not, and answers "N".
constexpr std::string_view ssl_request("\x00\x00\x00\x08\x04\xd2\x16\x2f", 8);

/// A CancelRequest for a session that there is not.
constexpr std::string_view vain_cancel("\x00\x00\x00\x10\x04\xd2\x16\x2e\x00\x00\x00\x00\x00\x00\x00\x00", 16);

struct proxied {
  test_database database = test_database::make_empty();
  tcp_proxy proxy{target_of(database.superuser_conninfo())};

  std::string conninfo() const { return proxy.through(database.superuser_conninfo()); }
  std::string refusal() const {
    const colloquy::db::connection_ptr c(PQconnectdb((conninfo() + " connect_timeout=30").c_str()));
    return PQstatus(c.get()) == CONNECTION_OK ? "" : PQerrorMessage(c.get());
  }
  bool new_ones_hang() const {
    const raw_client client(proxy.port());
    client.send(ssl_request);
    return client.connected() && !client.readable(moment_ms);
  }
};

/// Whether there comes an answer, or the connection's end.
bool answered(PGconn* c, int milliseconds) {
  const auto deadline = steady::now() + std::chrono::milliseconds(milliseconds);
  while (PQisBusy(c) == 1) {
    const auto left = std::chrono::duration_cast<std::chrono::milliseconds>(deadline - steady::now()).count();
    pollfd entry{PQsocket(c), POLLIN, 0};
    if (left <= 0 || ::poll(&entry, 1, static_cast<int>(left)) != 1)
      return false;
    if (PQconsumeInput(c) == 0)
      return true; // with an error
  }
  return true;
}

/// PQcancel on a thread of its own, since it waits for the server's end. "" is success.
std::future<std::string> cancel(PGconn* c) {
  return std::async(std::launch::async, [handle = std::shared_ptr<PGcancel>(PQgetCancel(c), PQfreeCancel)] {
    char words[256] = "";
    return PQcancel(handle.get(), words, sizeof words) == 1 ? std::string() : std::string(words);
  });
}

} // namespace

TEST_CASE("a proxy passes everything on and counts it") {
  const proxied p;
  test_connection session(p.conninfo());
  const std::string large(1 << 20, 'x');
  CHECK(session.value("SELECT '" + large + "'") == large);
  const auto counted = p.proxy.counters();
  CHECK(counted.accepted == 1);
  CHECK(counted.open == 1);
  CHECK(counted.bytes_to_server > large.size());
  CHECK(counted.bytes_to_client > large.size());
  CHECK(counted.cancels == 0);

  {
    const test_connection second(p.conninfo());
    CHECK(p.proxy.counters().open == 2);
  }
  CHECK(p.proxy.wait_for([](const auto& now) { return now.open == 1 && now.cut == 0; }));
}

TEST_CASE("a proxy passes on that its target is not there") {
  tcp_proxy proxy({"127.0.0.1", free_port()});
  const raw_client client(proxy.port());
  REQUIRE(client.connected());
  CHECK(client.heard() == "<reset>");
}

TEST_CASE("a proxy delays, for connections open and to come, and stops delaying") {
  proxied p;
  test_connection session(p.conninfo());
  p.proxy.delay(flow::both, 100ms);
  const auto started = steady::now();
  CHECK(session.value("SELECT 1") == "1");
  CHECK(steady::now() - started >= 200ms);

  p.proxy.delay(flow::to_client, 1h);
  REQUIRE(PQsendQuery(session.raw(), "SELECT 2") == 1);
  CHECK_FALSE(answered(session.raw(), moment_ms));
  CHECK(p.new_ones_hang());
  p.proxy.forward();
  CHECK(answered(session.raw(), soon_ms));
  CHECK(p.refusal().empty());
}

TEST_CASE("a proxy throttles each direction") {
  proxied p;
  test_connection session(p.conninfo());
  const std::string text(20000, 'x');
  for (const auto direction : {flow::to_client, flow::to_server}) {
    p.proxy.throttle(direction, 100000);
    const auto started = steady::now();
    CHECK(session.value(direction == flow::to_client ? "SELECT repeat('x', 20000)" : "SELECT '" + text + "'") == text);
    CHECK(steady::now() - started >= 150ms);
    p.proxy.forward();
  }
}

TEST_CASE("a proxy cuts open connections by a reset and lets new ones through") {
  proxied p;
  const raw_client client(p.proxy.port());
  client.send(ssl_request.substr(0, 4));
  REQUIRE(p.proxy.wait_for([](const auto& now) { return now.accepted == 1; }));
  p.proxy.cut();
  CHECK(client.heard() == "<reset>");
  CHECK(p.proxy.counters().open == 0);
  CHECK(p.refusal().empty());
}

TEST_CASE("a proxy cuts in the middle of a message") {
  proxied p;
  SECTION("to a new connection's client") {
    p.proxy.cut_after(flow::to_client, 5);
    const raw_client client(p.proxy.port());
    client.send(ssl_request);
    REQUIRE(client.readable(soon_ms));
    client.send({"\x00\x00\x00\x17\x00\x03\x00\x00user\x00postgres\x00\x00", 23});
    const auto heard = client.heard();
    CHECK(heard.size() == 5 + std::string("<end>").size());
    CHECK(heard.starts_with("NR"));
    CHECK(heard.ends_with("<end>"));
  }
  SECTION("of an open one, counted from now, each way") {
    for (const auto direction : {flow::to_client, flow::to_server}) {
      test_connection session(p.conninfo());
      test_connection other(p.conninfo());
      p.proxy.cut_after(direction, 10, {traffic::all, reach::existing});
      CHECK(session.sqlstate_of("SELECT 1") == "connection lost");
      CHECK(p.refusal().empty());
      CHECK(other.sqlstate_of("SELECT 1") == "connection lost");
    }
  }
}

TEST_CASE("a proxy swallows and keeps the connection open") {
  proxied p;
  test_connection session(p.conninfo());
  const auto before = p.proxy.counters();
  auto direction = flow::to_client;
  SECTION("what the server says") {}
  SECTION("what the client says") {
    direction = flow::to_server;
  }
  p.proxy.swallow(direction);
  REQUIRE(PQsendQuery(session.raw(), "SELECT 1") == 1);
  REQUIRE(p.proxy.wait_for([](const auto& now) { return now.bytes_swallowed > 0; }));
  CHECK_FALSE(answered(session.raw(), moment_ms));
  const auto now = p.proxy.counters();
  CHECK(now.open == 1);
  CHECK(now.bytes_to_client == before.bytes_to_client);
  CHECK((now.bytes_to_server == before.bytes_to_server) == (direction == flow::to_server));
}

TEST_CASE("a swallowed end leaves the server with a session that nobody holds") {
  proxied p;
  auto session = std::make_unique<test_connection>(p.conninfo());
  const auto still = "SELECT count(*) FROM pg_stat_activity WHERE pid = " + std::to_string(session->backend_pid());
  p.proxy.swallow(flow::to_server);
  session.reset();
  REQUIRE(p.proxy.wait_for([](const auto& now) { return now.bytes_swallowed > 0; }));
  CHECK(p.database.value(still) == "1");
  p.proxy.forward();
  CHECK(p.proxy.wait_for([](const auto& now) { return now.open == 0; }));
}

TEST_CASE("a proxy that hangs on accepting connects nobody through until it forwards") {
  proxied p;
  p.proxy.hang_on_accept();
  const raw_client client(p.proxy.port());
  REQUIRE(client.connected());
  client.send(ssl_request);
  CHECK_FALSE(client.readable(moment_ms));
  CHECK(p.new_ones_hang());
  CHECK(p.proxy.counters().bytes_to_server == 0);
  p.proxy.forward();
  REQUIRE(client.readable(soon_ms));
}

TEST_CASE("a proxy refuses, leaves open connections alone, and accepts again on its port") {
  proxied p;
  test_connection session(p.conninfo());
  p.proxy.refuse();
  CHECK_THAT(p.refusal(), ContainsSubstring("Connection refused"));
  CHECK(session.value("SELECT 1") == "1");
  p.proxy.accept_again();
  CHECK(p.refusal().empty());
  p.proxy.accept_again(); // a second time changes nothing
  CHECK(p.refusal().empty());
}

TEST_CASE("a proxy tells a cancel from other connections, in one piece or in several") {
  proxied p;
  test_connection session(p.conninfo());
  REQUIRE(PQsendQuery(session.raw(), "SELECT pg_sleep(600)") == 1);
  const auto running =
      "SELECT count(*) FROM pg_stat_activity WHERE state = 'active' AND pid = " + std::to_string(session.backend_pid());
  REQUIRE(p.proxy.wait_for([&](const auto&) { return p.database.value(running) == "1"; }));
  CHECK(cancel(session.raw()).get().empty());
  CHECK(answered(session.raw(), soon_ms));
  CHECK(p.proxy.wait_for([](const auto& now) { return now.cancels == 1 && now.cancels_passed == 1; }));

  const raw_client client(p.proxy.port());
  for (const char byte : vain_cancel)
    client.send({&byte, 1});
  CHECK(client.heard() == "<end>");
  CHECK(p.proxy.counters().cancels == 2);

  const raw_client other(p.proxy.port());
  other.send(ssl_request);
  CHECK(other.readable(soon_ms));
  CHECK(p.proxy.counters().cancels == 2);
}

TEST_CASE("faults can meet cancels alone, or everything else") {
  proxied p;
  test_connection session(p.conninfo());
  SECTION("cancels are swallowed") {
    p.proxy.swallow(flow::to_server, {traffic::cancels});
    auto outcome = cancel(session.raw());
    REQUIRE(p.proxy.wait_for([](const auto& now) { return now.cancels == 1 && now.bytes_swallowed == 16; }));
    CHECK(session.value("SELECT 1") == "1");
    CHECK(outcome.wait_for(std::chrono::milliseconds(moment_ms)) == std::future_status::timeout);
    CHECK(p.proxy.counters().cancels_passed == 0);
    p.proxy.cut(traffic::cancels);
    outcome.get();
    CHECK(session.value("SELECT 1") == "1");
  }
  SECTION("cancels are refused") {
    p.proxy.cut_after(flow::to_server, 0, {traffic::cancels});
    cancel(session.raw()).get();
    CHECK(session.value("SELECT 1") == "1");
    CHECK(p.refusal().empty());
    const auto now = p.proxy.counters();
    CHECK(now.cancels == 1);
    CHECK(now.cancels_passed == 0);
  }
  SECTION("all but cancels is swallowed") {
    p.proxy.swallow(flow::both, {traffic::ordinary});
    const raw_client client(p.proxy.port());
    client.send(vain_cancel);
    CHECK(client.heard() == "<end>");
    CHECK(p.new_ones_hang());
  }
}

TEST_CASE("faults can meet only the connections that are open, or only those to come") {
  proxied p;
  test_connection session(p.conninfo());
  p.proxy.swallow(flow::both, {traffic::all, reach::fresh});
  CHECK(session.value("SELECT 1") == "1");
  CHECK(p.new_ones_hang());
  p.proxy.forward();
  p.proxy.swallow(flow::both, {traffic::all, reach::existing});
  CHECK(p.refusal().empty());
  REQUIRE(PQsendQuery(session.raw(), "SELECT 1") == 1);
  CHECK_FALSE(answered(session.raw(), moment_ms));
}

TEST_CASE("a proxy holds back a sender whose receiver does not read") {
  proxied p;
  test_connection session(p.conninfo());
  REQUIRE(PQsetnonblocking(session.raw(), 1) == 0);
  p.proxy.throttle(flow::to_server, 1);
  const std::string large(8 << 20, 'x');
  REQUIRE(PQsendQuery(session.raw(), ("SELECT length('" + large + "')").c_str()) == 1);
  int left = 1;
  for (int writable = 1; left == 1 && writable == 1;) {
    left = PQflush(session.raw());
    pollfd entry{PQsocket(session.raw()), POLLOUT, 0};
    writable = ::poll(&entry, 1, moment_ms);
  }
  CHECK(left == 1); // something could not be sent
}
