// The embedded server's life: made, stopped, found again, whatever ended the run before.
#include <cstdio>
#include <fcntl.h>
#include <thread>

#include "tests/db/embedded_server_fixture.hpp"

namespace colloquy::db::embedded_test {

namespace fs = std::filesystem;

namespace {

long milliseconds_since(std::chrono::steady_clock::time_point begun) {
  return static_cast<long>(
      std::chrono::duration_cast<std::chrono::milliseconds>(std::chrono::steady_clock::now() - begun).count());
}

} // namespace

TEST_CASE("the first start makes a cluster and later starts find its data", "[embedded]") {
  const temp_dir folder;
  const auto data_dir = folder / "data";
  auto begun = std::chrono::steady_clock::now();
  auto server = must_start(data_dir);
  const auto first_ms = milliseconds_since(begun);
  CHECK(server.created());
  CHECK(server.running());
  CHECK(server.major_version() >= 15);
  CHECK(ask(server.owner_conninfo(), "CREATE TABLE kept (v text); INSERT INTO kept VALUES ('here')") == "done");
  begun = std::chrono::steady_clock::now();
  CHECK(server.stop());
  const auto stop_ms = milliseconds_since(begun);
  CHECK_FALSE(server.running());
  CHECK(server.stop());

  begun = std::chrono::steady_clock::now();
  server = must_start(data_dir);
  const auto later_ms = milliseconds_since(begun);
  CHECK_FALSE(server.created());
  CHECK(ask(server.owner_conninfo(), "SELECT v FROM kept") == "here");
  std::printf("embedded server: first start %ld ms, stop %ld ms, later start %ld ms\n", first_ms, stop_ms, later_ms);
  CHECK(first_ms < 60'000);
}

} // namespace colloquy::db::embedded_test
