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

TEST_CASE("the roles and the database are as little as the service needs", "[embedded]") {
  const temp_dir folder;
  const auto server = must_start(folder / "data");
  const auto& owner = server.owner_conninfo();
  const auto& service = server.service_conninfo();
  CHECK(ask(owner, "SELECT current_user || '@' || current_database()") == "colloquy_owner@colloquy");
  CHECK(ask(service, "SELECT current_user || '@' || current_database()") == "colloquy@colloquy");
  CHECK(ask(owner, "SELECT string_agg(concat(rolname, ' ', rolsuper, rolcreaterole, rolcreatedb, rolinherit, "
                   "rolbypassrls, rolreplication), ', ' ORDER BY rolname) FROM pg_roles WHERE rolname ^@ 'colloquy'") ==
        "colloquy ffffff, colloquy_owner ftftff");
  CHECK(ask(owner, "SELECT nspowner::regrole FROM pg_namespace WHERE nspname = 'public'") == "colloquy_owner");
  CHECK(ask(owner, "SELECT concat(datdba::regrole, ' ', pg_encoding_to_char(encoding), ' ', datcollate, ' ', datctype) "
                   "FROM pg_database WHERE datname = 'colloquy'") == "colloquy_owner UTF8 C C");
  CHECK(ask(service, "CREATE TABLE t ()") == "ERROR:  permission denied for schema public\nLINE 1: CREATE TABLE t ()\n"
                                             "                     ^\n");
  CHECK_THAT(ask(service, "CREATE TEMP TABLE t ()"), ContainsSubstring("permission denied to create temporary tables"));
  CHECK_THAT(ask(service, "SET ROLE colloquy_owner"), ContainsSubstring("permission denied"));
  CHECK_THAT(ask(embedded::conninfo(server.socket_dir(), "colloquy", "postgres"), "SELECT 1"),
             ContainsSubstring("permission denied for database"));

  // What the migrations do with them.
  CHECK(ask(owner, "CREATE ROLE colloquy_more NOLOGIN") == "done");
  CHECK(ask(owner, "GRANT colloquy_more TO colloquy") == "done");
  CHECK(ask(owner, "ALTER ROLE colloquy SET search_path = public") == "done");
  CHECK(ask(owner, "GRANT TEMPORARY ON DATABASE colloquy TO colloquy_more") == "done");
  CHECK(ask(service, "SET ROLE colloquy_more; CREATE TEMP TABLE t ()") == "done");
}

TEST_CASE("a first start that ended midway is completed by the next", "[embedded]") {
  const temp_dir folder;
  auto server = must_start(folder / "data");
  SECTION("before the database") {
    REQUIRE(ask(superuser(server), "DROP DATABASE colloquy") == "done");
  }
  SECTION("before the roles") {
    REQUIRE(ask(superuser(server), "DROP DATABASE colloquy") == "done");
    REQUIRE(ask(superuser(server), "DROP ROLE colloquy, colloquy_owner") == "done");
  }
  SECTION("before the schema was given away") {
    REQUIRE(ask(superuser(server, "colloquy"), "ALTER SCHEMA public OWNER TO postgres") == "done");
  }
  REQUIRE(server.stop());
  server = must_start(folder / "data");
  CHECK(ask(server.owner_conninfo(), "CREATE TABLE t ()") == "done");
  CHECK(ask(server.service_conninfo(), "SELECT 'welcome'") == "welcome");
}

TEST_CASE("committed means on disk, whatever the cluster's files say", "[embedded]") {
  const temp_dir folder;
  auto server = must_start(folder / "data");
  for (const auto* setting : {"fsync", "full_page_writes"})
    REQUIRE(ask(superuser(server), "ALTER SYSTEM SET " + std::string(setting) + " = off") == "done");
  REQUIRE(ask(superuser(server), "ALTER SYSTEM SET synchronous_commit = off") == "done");
  REQUIRE(ask(superuser(server), "ALTER SYSTEM SET listen_addresses = '*'") == "done");
  REQUIRE(server.stop());
  server = must_start(folder / "data");
  const auto show = [&](const std::string& name) { return ask(server.service_conninfo(), "SHOW " + name); };
  CHECK(show("fsync") == "on");
  CHECK(show("full_page_writes") == "on");
  CHECK(show("synchronous_commit") == "on");
  CHECK(show("data_checksums") == "on");
  CHECK(show("listen_addresses").empty());
  CHECK(show("max_connections") == "120");
}

TEST_CASE("a caller's settings win over the usual ones", "[embedded]") {
  const temp_dir folder;
  auto options = options_for(folder / "data");
  options.server_settings = {{"max_connections", "17"}};
  const auto server = must_start(options);
  CHECK(ask(server.service_conninfo(), "SHOW max_connections") == "17");
}

TEST_CASE("the server's log holds no value of a statement", "[embedded]") {
  const temp_dir folder;
  auto server = must_start(folder / "data");
  CHECK_THAT(ask(server.service_conninfo(), "SELECT 'sesame'::int"), ContainsSubstring("sesame"));
  CHECK_THAT(ask(server.owner_conninfo(), "SELECT sesame FROM nowhere"), ContainsSubstring("nowhere"));
  CHECK(server.stop());
  const auto log = read_file(folder / "data/postgres.log");
  CHECK_THAT(log, ContainsSubstring("database system is shut down"));
  CHECK(log.find("sesame") == std::string::npos);
}

TEST_CASE("a log that is too large is cut at the next start", "[embedded]") {
  const temp_dir folder;
  fs::create_directory(folder / "data");
  write_file(folder / "data/postgres.log", std::string(17u << 20, 'x') + "the end\n");
  const auto server = must_start(folder / "data");
  CHECK(fs::file_size(folder / "data/postgres.log") < 100'000);
  CHECK(fs::file_size(folder / "data/postgres.log.1") == 1u << 20);
  CHECK(read_file(folder / "data/postgres.log.1").ends_with("xthe end\n"));
}

TEST_CASE("the server is out of reach of our terminal and our descriptors", "[embedded]") {
  const temp_dir folder;
  write_file(folder / "other", "");
  // Without O_CLOEXEC, as a library may do, and with a number that the server has no use for.
  const embedded::unique_fd low(::open((folder / "other").c_str(), O_RDONLY));
  const embedded::unique_fd other(::fcntl(low.get(), F_DUPFD, 50));
  const auto server = must_start(folder / "data");
  CHECK(::getsid(server.pid()) == server.pid());
  CHECK(::getpgid(server.pid()) != ::getpgid(0));
  std::string open_files;
  for (const auto& entry : fs::directory_iterator("/proc/" + std::to_string(server.pid()) + "/fd")) {
    std::error_code gone;
    open_files += fs::read_symlink(entry.path(), gone).string() + "\n";
  }
  CHECK_THAT(open_files, ContainsSubstring("postgres.log"));
  CHECK(open_files.find("colloquy.lock") == std::string::npos);
  CHECK(open_files.find("other") == std::string::npos);
}

TEST_CASE("the server outlives the thread that started it", "[embedded]") {
  const temp_dir folder;
  std::optional<embedded_server> server;
  std::thread([&] {
    if (auto started = embedded_server::start(options_for(folder / "data")))
      server = std::move(*started);
  }).join();
  REQUIRE(server);
  // A server that had been told to stop would end this query.
  CHECK(ask(server->service_conninfo(), "SELECT 'lives' FROM pg_sleep(0.3)") == "lives");
}

TEST_CASE("a server ends with its owner, and the next start takes its data up", "[embedded]") {
  const temp_dir folder;
  const auto data_dir = folder / "data";
  forked owner([&](const auto& say) {
    auto server = embedded_server::start(options_for(data_dir));
    say(server ? std::to_string(server->pid()) : server.failure().message);
    if (server)
      say(ask(server->owner_conninfo(), "CREATE TABLE kept (v text); INSERT INTO kept VALUES ('here')"));
    while (true)
      ::pause();
  });
  const auto first = owner.heard();
  INFO(first);
  const auto pid = static_cast<pid_t>(std::atoi(first.c_str()));
  REQUIRE(pid > 0);
  REQUIRE(owner.heard() == "done");
  owner.kill();
  SECTION("once it has ended") {
    CHECK(eventually([&] { return !process_runs(pid); }));
    CHECK_FALSE(fs::exists(data_dir / "postgres/postmaster.pid"));
  }
  SECTION("while it still stops") {}
  auto server = must_start(data_dir);
  CHECK_FALSE(process_runs(pid));
  CHECK(ask(server.owner_conninfo(), "SELECT v FROM kept") == "here");
}

TEST_CASE("a server that lost its owner and does not stop is made to", "[embedded]") {
  const temp_dir folder;
  const auto data_dir = folder / "data";
  forked owner([&](const auto& say) {
    auto server = embedded_server::start(options_for(data_dir));
    say(server ? std::to_string(server->pid()) : server.failure().message);
    while (true)
      ::pause();
  });
  const auto pid = static_cast<pid_t>(std::atoi(owner.heard().c_str()));
  REQUIRE(pid > 0);
  REQUIRE(::kill(pid, SIGSTOP) == 0); // our grandchild: hung, as far as anyone can tell
  owner.kill();
  auto options = options_for(data_dir);
  options.stop_timeout = 100ms;
  const auto server = must_start(options);
  CHECK_FALSE(process_runs(pid));
  CHECK(server.pid() != pid);
}

TEST_CASE("a server that ended by itself is reported, and leaves nothing in the way", "[embedded]") {
  const temp_dir folder;
  auto server = must_start(folder / "data");
  const auto pid = server.pid();
  REQUIRE(::kill(pid, SIGKILL) == 0);
  CHECK(eventually([&] { return !server.running(); }));
  const auto stopped = server.stop();
  REQUIRE_FALSE(stopped);
  CHECK_THAT(stopped.failure().message, ContainsSubstring("had already ended, with signal 9"));
  server = must_start(folder / "data");
  CHECK(ask(server.service_conninfo(), "SELECT 'back'") == "back");
}

TEST_CASE("a server that does not stop in time is stopped at once", "[embedded]") {
  const temp_dir folder;
  auto options = options_for(folder / "data");
  options.stop_timeout = 50ms;
  auto server = must_start(options);
  const auto pid = server.pid();
  REQUIRE(::kill(pid, SIGSTOP) == 0);
  const auto stopped = server.stop();
  REQUIRE_FALSE(stopped);
  CHECK_THAT(stopped.failure().message, ContainsSubstring("did not stop within 50 ms"));
  CHECK_FALSE(process_runs(pid));
}

TEST_CASE("a first start that is killed leaves nothing that looks like a cluster", "[embedded]") {
  const temp_dir folder;
  const auto data_dir = folder / "data";
  const std::string moment = GENERATE("postgres.new", "postgres.new/base/1", "postgres.new/global/pg_control",
                                      "postgres.new/base/5", "postgres", "postgres/postmaster.pid");
  INFO("killed when there was " << moment);
  forked owner([&](const auto& say) { say(try_start(options_for(data_dir))); });
  REQUIRE(eventually([&] { return fs::exists(data_dir / moment); }));
  owner.kill();
  CHECK(fs::exists(data_dir / "postgres") == fs::exists(data_dir / "postgres/PG_VERSION"));
  const auto server = must_start(data_dir);
  CHECK_FALSE(fs::exists(data_dir / "postgres.new"));
  CHECK(ask(server.owner_conninfo(), "CREATE TABLE t ()") == "done");
}

TEST_CASE("a start that was killed before it had given the socket's folder away is made good by the next one",
          "[embedded]") {
  if (!we_are_root())
    return; // who is not root has nobody to give it to
  const temp_dir folder;
  const auto socket = folder / "data/postgres/socket";
  auto server = must_start(folder / "data");
  REQUIRE(server.stop());
  fs::remove_all(socket);
  fs::create_directory(socket);
  fs::permissions(socket, fs::perms::owner_all);
  server = must_start(folder / "data");
  CHECK(ask(server.service_conninfo(), "SELECT 'reached'") == "reached");
}

TEST_CASE("a stale note whose number belongs to another process now does not keep the server from starting",
          "[embedded]") {
  const temp_dir folder;
  auto server = must_start(folder / "data");
  const auto cluster = folder / "data/postgres";
  const auto user = fs::exists(cluster) && we_are_root() ? "postgres" : "";
  const auto note = read_file(cluster / "postmaster.pid");
  const auto socket_note = read_file(cluster / "socket/.s.PGSQL.5432.lock");
  REQUIRE(server.stop());
  forked stranger([&](const auto& say) { say(*user == '\0' || become(user) ? "there" : "not there"); });
  REQUIRE(stranger.heard() == "there");
  const auto with_pid = [&](const std::string& text) {
    return std::to_string(stranger.pid()) + text.substr(text.find('\n'));
  };
  write_file(cluster / "postmaster.pid", with_pid(note));
  write_file(cluster / "socket/.s.PGSQL.5432.lock", with_pid(socket_note));
  server = must_start(folder / "data");
  CHECK(process_runs(stranger.pid()));
}

TEST_CASE("a socket's path that is too long or has a comma in it does not matter", "[embedded]") {
  const temp_dir folder;
  const auto name = GENERATE(std::string(100, 'x') + "/" + std::string(100, 'y'), std::string("a,b"),
                             std::string("it's a \\ folder"));
  const auto server = must_start(folder / name);
  CHECK(ask(server.service_conninfo(), "SELECT 'reached'") == "reached");
}

TEST_CASE("a plain socket's path is given as it is, so that other programs can use it", "[embedded]") {
  const temp_dir folder;
  const auto server = must_start(folder / "data");
  CHECK(server.socket_dir() == (folder / "data/postgres/socket").string());
  CHECK(fs::is_socket(folder / "data/postgres/socket/.s.PGSQL.5432"));
  CHECK((fs::status(folder / "data/postgres/socket").permissions() & fs::perms(0077)) == fs::perms::none);
}

} // namespace colloquy::db::embedded_test
