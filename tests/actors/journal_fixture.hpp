// What the tests of the journal's actor share: sessions that only listen, on stepped time, and a disk that fails to
// order.
#pragma once

#include "actors/journal.hpp"
#include "tests/db/journal_fixture.hpp"
#include "tests/support/catch.hpp"
#include "tests/support/stepped_system.hpp"
#include "tests/support/temp_dir.hpp"

#include <caf/send.hpp>

#include <algorithm>
#include <csignal>
#include <memory>
#include <string>
#include <sys/resource.h>
#include <utility>
#include <vector>

namespace colloquy::test {

/// While it lives, no file can grow beyond `bytes`: writing fails as on a disk that fails.
class failing_disk {
public:
  explicit failing_disk(rlim_t bytes = 0) {
    ignored_ = std::signal(SIGXFSZ, SIG_IGN);
    ::getrlimit(RLIMIT_FSIZE, &before_);
    const rlimit now{std::min(bytes, before_.rlim_max), before_.rlim_max};
    ::setrlimit(RLIMIT_FSIZE, &now);
  }
  failing_disk(const failing_disk&) = delete;
  failing_disk& operator=(const failing_disk&) = delete;
  ~failing_disk() {
    ::setrlimit(RLIMIT_FSIZE, &before_);
    std::signal(SIGXFSZ, ignored_);
  }

private:
  rlimit before_{};
  void (*ignored_)(int) = nullptr;
};

/// What the journal told a session: "journaled 3", "refused 4: why".
using told = std::shared_ptr<std::vector<std::string>>;

inline actors::session_actor spawn_listener(caf::actor_system& system, const told& heard) {
  return system.spawn([heard]() -> actors::session_actor::behavior_type {
    return {[heard](const actors::session_call& call) {
      if (const auto* news = std::get_if<actors::journaled>(&call.what))
        heard->push_back("journaled " + std::to_string(news->through_number));
      else if (const auto* refusal = std::get_if<actors::journal_refused>(&call.what))
        heard->push_back("refused " + std::to_string(refusal->number) + ": " + refusal->why.message);
    }};
  });
}

/// A session that writes and hears.
struct listening_session {
  session_key key;
  told heard = std::make_shared<std::vector<std::string>>();
  actors::session_actor actor{};
  std::uint64_t last = 0;

  std::vector<std::string> news() { return std::exchange(*heard, {}); }
};

/// A journal on a folder of its own, on stepped time.
class stepped_journal {
public:
  explicit stepped_journal(actors::journal_options options = {})
    : options_(std::move(options)) {
    options_.now = steps.clock();
    open();
  }
  ~stepped_journal() { end(); }

  void open() {
    auto file = db::journal_file::open(folder / "j", steps.clock());
    INFO((file ? "" : file.failure().message));
    REQUIRE(file);
    actor = caf::actor_cast<actors::journal_actor>(steps.system().spawn<actors::journal>(std::move(*file), options_));
    steps.run();
  }
  void end() {
    caf::anon_send_exit(actor, caf::exit_reason::user_shutdown);
    steps.run();
  }

  listening_session session(session_key key = key_of("acme")) {
    listening_session made{std::move(key)};
    made.actor = spawn_listener(steps.system(), made.heard);
    return made;
  }
  /// Its actor ended, and another one counts from 1 again.
  void wake_again(listening_session& each) {
    each.actor = spawn_listener(steps.system(), each.heard);
    each.last = 0;
  }

  void write(listening_session& from, const std::string& data) {
    caf::anon_send(actor, actors::journal_write{message_write(from.key, ++from.last, data), from.actor});
  }
  void durable(const listening_session& of, std::uint64_t through) {
    caf::anon_send(actor, actors::journal_durable{of.key, through});
  }

  template <class Request>
  result<typename Request::reply> ask(Request request) {
    auto answer = steps.ask<typename Request::reply>(actor, std::move(request));
    steps.run();
    REQUIRE(*answer);
    return **answer;
  }
  template <class Request>
  typename Request::reply must(Request request) {
    auto answer = ask(std::move(request));
    INFO((answer ? "" : answer.failure().message));
    REQUIRE(answer);
    return *answer;
  }
  actors::journal_status status() { return must(actors::get_journal_status{}); }

  /// What a process would find that opened the files as they are now: as after a crash.
  std::vector<db::journal_row> after_a_crash() const {
    const temp_dir copy;
    const failing_disk none(RLIM_INFINITY); // this test's own files must not fail
    for (const auto* name : {"j", "j-wal"})
      if (std::filesystem::exists(folder / name))
        std::filesystem::copy_file(folder / name, copy / name);
    auto file = db::journal_file::open(copy / "j");
    REQUIRE(file);
    CHECK(file->figures().quarantined == 0);
    auto rows = file->read_left({}, std::size_t{1} << 30);
    REQUIRE(rows);
    return std::move(rows->rows);
  }

  temp_dir folder;
  stepped_system steps;
  actors::journal_actor actor;

private:
  actors::journal_options options_;
};

} // namespace colloquy::test
