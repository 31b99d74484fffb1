// Accepted events on a real server, while its backends, the way to it and the writer die.
#include "tests/support/catch.hpp"
#include "tests/support/watched_pool.hpp"

#include <csignal>
#include <iostream>
#include <map>
#include <random>

using namespace colloquy;
using namespace colloquy::test;
using namespace std::chrono_literals;

namespace {

/// Sends `rounds` times one message to each session and calls `between` after each round; checks that every session
/// has got them all, once and in order.
template <class Between>
void append_all_and_check(open_service& service, int sessions_count, int rounds, Between between) {
  std::vector<session_key> sessions;
  for (int i = 0; i < sessions_count; ++i)
    sessions.push_back(service.make_session("tenant-" + std::to_string(i % 5)));
  std::vector<std::string> expected;
  for (int round = 0; round < rounds; ++round) {
    const auto text = "message " + std::to_string(round);
    expected.push_back(text);
    for (const auto& session : sessions)
      service.append(session, {text});
    between(round);
  }
  auto flushed_all = service.flush_all();
  REQUIRE(flushed_all);
  CHECK(flushed_all->sessions_refused == 0);
  for (const auto& session : sessions)
    REQUIRE(service.stored(session) == expected);
}

} // namespace

TEST_CASE("a backend terminated in the middle of its batches: nothing is lost, nothing comes twice") {
  open_service service(1000);
  int terminated = 0;
  append_all_and_check(service, 100, 200, [&](int round) {
    if (round % 20 == 10 && service.database().value("SELECT pg_terminate_backend(" +
                                                     std::to_string(service.writer_backend()) + ")") == "t")
      ++terminated;
  });
  CHECK(terminated > 0);
  CHECK(std::stoi(service.writer_epoch()) > 1);
}

TEST_CASE("a writer actor killed in the middle of its batches: nothing is lost, nothing comes twice") {
  open_service service(1000);
  append_all_and_check(service, 100, 200, [&](int round) {
    if (round % 20 == 10)
      service.kill_writer();
  });
  CHECK(std::stoi(service.writer_epoch()) > 1);
}

TEST_CASE("every connection cut again and again: nothing is lost, nothing comes twice") {
  open_service service(1000);
  append_all_and_check(service, 50, 200, [&](int round) {
    if (round % 40 == 20)
      cut_database_sockets();
  });
}

TEST_CASE("writers and backends killed at random moments: nothing is lost, nothing comes twice") {
  const auto seed = std::random_device{}();
  std::cout << "kills from seed " << seed << "\n";
  INFO("seed " << seed);
  std::mt19937 random(seed);
  open_service service(500);
  append_all_and_check(service, 100, 150, [&](int) {
    switch (std::uniform_int_distribution<int>(0, 30)(random)) {
    case 0:
      service.kill_writer();
      break;
    case 1:
      service.database().exec("SELECT pg_terminate_backend(" + std::to_string(service.writer_backend()) + ")");
      break;
    case 2:
      cut_database_sockets();
      break;
    default:
      break;
    }
  });
}

TEST_CASE("two batches unread at the server when the socket is cut: after the takeover none of the old epoch commits") {
  open_service service;
  const auto session = service.make_session("acme");
  REQUIRE(service.flush_all());
  const auto old_backend = service.writer_backend();
  REQUIRE(old_backend > 0);
  const auto old_epoch = service.writer_epoch();

  REQUIRE(kill(old_backend, SIGSTOP) == 0);
  service.append(session, {"one"});
  service.append(session, {"two"});
  service.append(session, {"three"});
  cut_database_sockets();
  auto flushed_all = service.flush_all(); // by another backend, while the old one stands still
  const auto stored_before = service.stored(session);
  const auto epoch_before = service.writer_epoch();
  REQUIRE(kill(old_backend, SIGCONT) == 0);

  REQUIRE(flushed_all);
  CHECK(std::stoi(epoch_before) > std::stoi(old_epoch));
  CHECK(stored_before == std::vector<std::string>{"one", "two", "three"});
  // The old backend reads what it was sent, or its end, and goes.
  const auto deadline = std::chrono::steady_clock::now() + 20s;
  while (service.database().value("SELECT count(*) FROM pg_stat_activity WHERE pid = " + std::to_string(old_backend)) !=
             "0" &&
         std::chrono::steady_clock::now() < deadline) {
  }
  CHECK(service.stored(session) == stored_before);
  service.append(session, {"four"});
  REQUIRE(service.flush_all());
  CHECK(service.stored(session) == std::vector<std::string>{"one", "two", "three", "four"});
}

TEST_CASE("one event that the database refuses among 1,000 of 50 tenants: the other 999 are durable") {
  open_service service;
  service.database().exec("ALTER TABLE events ADD CONSTRAINT planted CHECK (data <> 'poison')");
  std::vector<session_key> sessions;
  for (int i = 0; i < 1000; ++i)
    sessions.push_back(service.make_session("tenant-" + std::to_string(i % 50)));
  for (int i = 0; i < 1000; ++i)
    service.append(sessions[static_cast<std::size_t>(i)], {i == 537 ? "poison" : "fine"});
  auto flushed_all = service.flush_all();
  REQUIRE(flushed_all);
  CHECK(flushed_all->sessions_refused == 1);
  CHECK(service.database().value("SELECT count(*) FROM events") == "999");
  CHECK(service.stored(sessions[537]).empty());
  service.append(sessions[538], {"goes on"});
  REQUIRE(service.flush_all());
  CHECK(service.stored(sessions[538]).size() == 2);
}
