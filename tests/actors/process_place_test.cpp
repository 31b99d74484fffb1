// Whether another process has ended is told only if it is certain.
#include "actors/process_place.hpp"
#include "tests/support/catch.hpp"

#include <signal.h>
#include <sys/prctl.h>
#include <sys/wait.h>
#include <unistd.h>

#include <array>
#include <limits>
#include <string>

using namespace colloquy;
using namespace colloquy::actors;

namespace {

/// A process that waits to be killed.
class child_process {
public:
  explicit child_process(const char* name = "child") {
    std::array<int, 2> ready{};
    REQUIRE(::pipe(ready.data()) == 0);
    pid_ = ::fork();
    REQUIRE(pid_ >= 0);
    if (pid_ == 0) {
      ::prctl(PR_SET_PDEATHSIG, SIGKILL);
      ::prctl(PR_SET_NAME, name);
      (void)!::write(ready[1], "r", 1);
      for (;;)
        ::pause();
    }
    char byte = 0;
    REQUIRE(::read(ready[0], &byte, 1) == 1);
    ::close(ready[0]);
    ::close(ready[1]);
    place_ = place_of_process(pid_);
  }
  child_process(const child_process&) = delete;
  child_process& operator=(const child_process&) = delete;
  ~child_process() { reap(); }

  const db::process_place& place() const { return place_; }

  /// It is over then, and a zombie until it is reaped.
  void kill() {
    ::kill(pid_, SIGKILL);
    siginfo_t info{};
    ::waitid(P_PID, static_cast<id_t>(pid_), &info, WEXITED | WNOWAIT);
  }
  void reap() {
    if (pid_ <= 0)
      return;
    ::kill(pid_, SIGKILL);
    ::waitpid(pid_, nullptr, 0);
    pid_ = 0;
  }

private:
  pid_t pid_ = 0;
  db::process_place place_;
};

} // namespace

TEST_CASE("a process knows its place, which stays the same, and that it has not ended") {
  const auto own = own_process_place();
  CHECK(own.pid == ::getpid());
  CHECK(own.started_ticks > 0);
  CHECK_FALSE(own.machine.empty());
  CHECK(own_process_place().machine == own.machine);
  CHECK(own_process_place().started_ticks == own.started_ticks);
  CHECK_FALSE(has_ended(own));
}

TEST_CASE("another process has ended when it is gone or waits to be reaped, and not before") {
  child_process child;
  CHECK(child.place().machine == own_process_place().machine);
  CHECK_FALSE(has_ended(child.place()));
  child.kill();
  CHECK(has_ended(child.place()));
  child.reap();
  CHECK(has_ended(child.place()));
}

TEST_CASE("another process of the same number has not taken its predecessor's place") {
  child_process child;
  auto earlier = child.place();
  --earlier.started_ticks;
  CHECK(has_ended(earlier));
}

TEST_CASE("a process whose name looks like the rest of its line is read right") {
  child_process child(") Z 1 2 (");
  CHECK(child.place().started_ticks > 0);
  CHECK_FALSE(has_ended(child.place()));
}

TEST_CASE("what runs on another machine or in another namespace, or nobody knows where, has not ended for certain") {
  child_process child;
  child.reap();
  REQUIRE(has_ended(child.place()));
  auto elsewhere = child.place();
  elsewhere.machine += "x";
  CHECK_FALSE(has_ended(elsewhere));
  elsewhere.machine.clear();
  CHECK_FALSE(has_ended(elsewhere));
  auto unlike = child.place();
  unlike.pid += std::int64_t{1} << 32; // ends in the same bits
  CHECK_FALSE(has_ended(unlike));
}

TEST_CASE("a number that no process can have proves nothing") {
  auto place = own_process_place();
  for (const auto pid : {std::int64_t{0}, std::int64_t{-1}, -static_cast<std::int64_t>(::getpid()),
                         std::int64_t{1} << 33, std::numeric_limits<std::int64_t>::max()}) {
    place.pid = pid;
    CHECK_FALSE(has_ended(place));
  }
  place = own_process_place();
  place.started_ticks = 0; // unknown
  CHECK_FALSE(has_ended(place));
}

TEST_CASE("a line of a process' state is read as proc(5) says, and one cut short is not") {
  const std::string line = "7 (a) b) R 1 2 3 4 5 6 7 8 9 10 11 12 13 14 15 16 4 18 123456 20 21";
  const auto read = parse_process_stat(line);
  REQUIRE(read);
  CHECK(read->state == 'R');
  CHECK(read->threads == 4);
  CHECK(read->started_ticks == 123456);
  for (const char* wrong : {"", "7 (a", "7 (a) R 1 2", "7 (a) R 1 2 3 4 5 6 7 8 9 10 11 12 13 14 15 16 4 18 12x 20"})
    CHECK_FALSE(parse_process_stat(wrong));
}
