// What keeps the embedded server from starting, and the sentence for each; and who may log in.
#include <fcntl.h>
#include <sched.h>
#include <sys/file.h>
#include <sys/mount.h>
#include <sys/stat.h>

#include "db/embedded_process.hpp"
#include "tests/db/embedded_server_fixture.hpp"

namespace colloquy::db::embedded_test {

namespace fs = std::filesystem;

namespace {

/// In a copy of this process only: a file system in memory, which nobody else sees and which goes with the process.
bool mount_small(const fs::path& where, const char* options) {
  return ::unshare(CLONE_NEWNS) == 0 && ::mount("none", "/", nullptr, MS_REC | MS_PRIVATE, nullptr) == 0 &&
         ::mount("tmpfs", where.c_str(), "tmpfs", 0, options) == 0;
}

constexpr const char* cannot_mount = "cannot mount";

error start_failure(const embedded_options& options) {
  auto server = embedded_server::start(options);
  REQUIRE_FALSE(server);
  return server.failure();
}

void skip_loudly(const char* why) {
  WARN("SKIPPED, this proves nothing here: " << why);
}

/// A folder that holds a cluster whose server has stopped.
void make_cluster(const fs::path& data_dir) {
  auto server = must_start(data_dir);
  REQUIRE(server.stop());
}

} // namespace

TEST_CASE("a second process is refused at once and told who holds the folder", "[embedded]") {
  const temp_dir folder;
  const auto server = must_start(folder / "data");
  const auto expected =
      "data folder " + (folder / "data").string() + " is in use by process " + std::to_string(::getpid());
  CHECK_THAT(in_another_process([&] { return try_start(options_for(folder / "data")); }), ContainsSubstring(expected));
  const auto here = start_failure(options_for(folder / "data"));
  CHECK(here.code == error_code::conflict);
  CHECK_THAT(here.message, ContainsSubstring(expected));
  CHECK(ask(server.service_conninfo(), "SELECT 'unharmed'") == "unharmed");
}

TEST_CASE("a process that holds the folder but runs no server yet is not disturbed", "[embedded]") {
  const temp_dir folder;
  fs::create_directory(folder / "data");
  write_file(folder / "data/colloquy.lock", std::to_string(::getpid()) + "\n");
  const embedded::unique_fd lock(::open((folder / "data/colloquy.lock").c_str(), O_RDWR | O_CLOEXEC));
  REQUIRE(::flock(lock.get(), LOCK_EX | LOCK_NB) == 0);
  auto name = read_file("/proc/self/comm");
  name.pop_back();
  const auto refused = start_failure(options_for(folder / "data"));
  CHECK(refused.code == error_code::conflict);
  CHECK_THAT(refused.message, ContainsSubstring("process " + std::to_string(::getpid()) + " (" + name + ")"));
  CHECK_FALSE(fs::exists(folder / "data/postgres"));
}

TEST_CASE("losing the lock's file does not give the cluster to a second process", "[embedded]") {
  const temp_dir folder;
  const auto server = must_start(folder / "data");
  fs::remove(folder / "data/colloquy.lock");
  const auto refused = start_failure(options_for(folder / "data"));
  CHECK(refused.code == error_code::conflict);
  CHECK_THAT(refused.message, ContainsSubstring("in use by process " + std::to_string(::getpid())));
  CHECK(ask(server.service_conninfo(), "SELECT 'unharmed'") == "unharmed");
}

TEST_CASE("a server that somebody else runs in the cluster is left alone", "[embedded]") {
  const temp_dir folder;
  auto server = must_start(folder / "data");
  const auto program = fs::read_symlink("/proc/" + std::to_string(server.pid()) + "/exe");
  REQUIRE(server.stop());
  const embedded::unique_fd cluster(::open((folder / "data/postgres").c_str(), O_RDONLY | O_DIRECTORY));
  embedded::child_plan plan;
  plan.program = program;
  plan.arguments = {"-D", embedded::child_folder, "-c", "listen_addresses=", "-c", "unix_socket_directories=socket"};
  plan.folder = cluster.get();
  if (we_are_root())
    plan.run_as = embedded::find_user(std::string("postgres"));
  const auto stranger = embedded::child_process::start(plan);
  REQUIRE(stranger);
  REQUIRE(eventually([&] { return read_file(folder / "data/postgres/postmaster.pid").ends_with("ready   \n"); }));
  auto options = options_for(folder / "data");
  options.stop_timeout = 0ms;
  const auto refused = start_failure(options);
  CHECK(refused.code == error_code::conflict);
  CHECK_THAT(refused.message, ContainsSubstring("process " + std::to_string(stranger->pid())));
  CHECK(stranger->running());
  stranger->signal(SIGINT);
  CHECK(stranger->wait_until(std::chrono::steady_clock::now() + 20s) == 0);
}

TEST_CASE("a cluster of another major version names both versions", "[embedded]") {
  const temp_dir folder;
  make_cluster(folder / "data");
  write_file(folder / "data/postgres/PG_VERSION", "14\n");
  const auto refused = start_failure(options_for(folder / "data"));
  CHECK(refused.code == error_code::invalid_request);
  CHECK_THAT(refused.message, ContainsSubstring((folder / "data/postgres").string() + " belongs to PostgreSQL 14"));
  CHECK_THAT(refused.message, ContainsSubstring("apt install postgresql-14"));
  CHECK_THAT(refused.message, ContainsSubstring("found here is PostgreSQL "));
}

TEST_CASE("a missing server program is named with how to install it", "[embedded]") {
  const temp_dir folder;
  auto options = options_for(folder / "data");
  options.bin_dir = folder / "empty";
  const auto refused = start_failure(options);
  CHECK(refused.code == error_code::invalid_request);
  CHECK_THAT(refused.message, ContainsSubstring("initdb and postgres"));
  CHECK_THAT(refused.message, ContainsSubstring((folder / "empty").string()));
  CHECK_THAT(refused.message, ContainsSubstring("apt install postgresql"));
}

TEST_CASE("too little space is told before anything is made", "[embedded]") {
  const temp_dir folder;
  auto options = options_for(folder / "data");
  options.free_bytes_new = std::uint64_t{1} << 60;
  auto refused = start_failure(options);
  CHECK(refused.code == error_code::database_unavailable);
  CHECK_THAT(refused.message, ContainsSubstring("is full") && ContainsSubstring("MiB are needed"));
  CHECK_FALSE(fs::exists(folder / "data/postgres.new"));
  make_cluster(folder / "data");
  options.free_bytes_existing = std::uint64_t{1} << 60;
  refused = start_failure(options);
  CHECK_THAT(refused.message, ContainsSubstring("is full"));
}

TEST_CASE("a disk that fills up is told as such, not as a failed program", "[embedded]") {
  const temp_dir folder;
  const auto said = in_another_process([&]() -> std::string {
    if (!mount_small(folder.path(), "size=24m,mode=0755"))
      return cannot_mount;
    auto options = options_for(folder / "data");
    auto text = try_start(options) + "\n";
    options.free_bytes_new = 0;
    text += try_start(options);
    return fs::exists(folder / "data/postgres") || fs::exists(folder / "data/postgres.new") ? "left something" : text;
  });
  if (said == cannot_mount)
    return skip_loudly(cannot_mount);
  INFO(said);
  CHECK_THAT(said, ContainsSubstring("MiB are needed"));
  CHECK_THAT(said, ContainsSubstring("cannot start the database in " + (folder / "data").string() +
                                     ": the disk is full; free some space"));
}

TEST_CASE("a read-only disk is told as such", "[embedded]") {
  const temp_dir folder;
  const auto said = in_another_process([&]() -> std::string {
    if (!mount_small(folder.path(), "size=1m,mode=0755") ||
        ::mount("tmpfs", folder.path().c_str(), nullptr, MS_REMOUNT | MS_RDONLY, nullptr) != 0)
      return cannot_mount;
    return try_start(options_for(folder / "data")) + "\n" + try_start(options_for(folder.path()));
  });
  if (said == cannot_mount)
    return skip_loudly(cannot_mount);
  CHECK_THAT(said, ContainsSubstring("cannot make data folder " + (folder / "data").string() +
                                     ": the file system is read-only"));
  CHECK_THAT(said, ContainsSubstring("colloquy.lock: the file system is read-only"));
}

TEST_CASE("a folder that we may not write is told as such", "[embedded]") {
  const temp_dir folder;
  fs::create_directory(folder / "data");
  fs::permissions(folder / "data", fs::perms(0555));
  fs::permissions(folder.path(), fs::perms(0755));
  const auto said = in_another_process([&]() -> std::string {
    if (we_are_root() && !become("nobody"))
      return "cannot become nobody";
    return try_start(options_for(folder / "data"));
  });
  CHECK_THAT(said, ContainsSubstring("no permission for user id"));
}

TEST_CASE("another user's cluster is refused by name of the user id", "[embedded]") {
  if (!we_are_root())
    return skip_loudly("needs root");
  const temp_dir folder;
  make_cluster(folder / "data");
  fs::permissions(folder.path(), fs::perms(0755));
  fs::permissions(folder / "data", fs::perms(0777));
  fs::permissions(folder / "data/colloquy.lock", fs::perms(0666));
  fs::permissions(folder / "data/postgres", fs::perms(0755));
  const auto said = in_another_process([&]() -> std::string {
    return become("nobody") ? try_start(options_for(folder / "data")) : "cannot become nobody";
  });
  CHECK_THAT(said, ContainsSubstring("and not to us (" + std::to_string(::getpwnam("nobody")->pw_uid)));
}

TEST_CASE("what is in the way of the folders is named", "[embedded]") {
  const temp_dir folder;
  write_file(folder / "file", "");
  CHECK_THAT(start_failure(options_for(folder / "file")).message,
             ContainsSubstring("a file is where a folder should be"));
  CHECK_THAT(start_failure(options_for(folder / "file/below")).message,
             ContainsSubstring("a file is where a folder should be"));
  CHECK_THAT(start_failure(options_for("")).message, ContainsSubstring("--data-dir"));
  fs::create_directories(folder / "data/postgres");
  write_file(folder / "data/postgres/letter", "mine");
  CHECK_THAT(start_failure(options_for(folder / "data")).message, ContainsSubstring("is not a PostgreSQL cluster"));
  CHECK(read_file(folder / "data/postgres/letter") == "mine");
  fs::create_directory(folder / "other");
  write_file(folder / "other/postgres", "");
  CHECK_THAT(start_failure(options_for(folder / "other")).message,
             ContainsSubstring("a file is where a folder should be"));
}

TEST_CASE("an empty folder in the cluster's place is taken", "[embedded]") {
  const temp_dir folder;
  fs::create_directories(folder / "data/postgres");
  CHECK(must_start(folder / "data").created());
}

TEST_CASE("an unknown user to run as is named", "[embedded]") {
  if (!we_are_root())
    return skip_loudly("needs root");
  const temp_dir folder;
  auto options = options_for(folder / "data");
  options.run_as_user = "no_such_user";
  CHECK_THAT(start_failure(options).message,
             ContainsSubstring("\"no_such_user\"") && ContainsSubstring("does not exist"));
  options.run_as_user = "root";
  CHECK_THAT(start_failure(options).message, ContainsSubstring("refuses to run as root"));
}

TEST_CASE("a server that dies at its start is reported with its last words and frees the folder", "[embedded]") {
  const temp_dir folder;
  make_cluster(folder / "data");
  auto options = options_for(folder / "data");
  options.server_settings = {{"shared_buffers", "no number"}};
  const auto refused = start_failure(options);
  CHECK(refused.code == error_code::database_unavailable);
  CHECK_THAT(refused.message, ContainsSubstring("exit code 1"));
  CHECK_THAT(refused.message, ContainsSubstring("invalid value for parameter \"shared_buffers\""));
  const auto server = must_start(folder / "data");
  CHECK(server.running());
}

TEST_CASE("a start that takes too long is given up and leaves no server", "[embedded]") {
  const temp_dir folder;
  make_cluster(folder / "data");
  auto options = options_for(folder / "data");
  options.start_timeout = 1ms;
  CHECK(start_failure(options).code == error_code::deadline_exceeded);
  CHECK(must_start(folder / "data").running());
}

TEST_CASE("started as root the server runs as another user, below a folder closed to that user", "[embedded]") {
  if (!we_are_root())
    return skip_loudly("needs root");
  const temp_dir folder;
  fs::create_directory(folder / "closed");
  fs::permissions(folder / "closed", fs::perms(0700));
  const auto server = must_start(folder / "closed/data");
  struct stat process {};
  REQUIRE(::stat(("/proc/" + std::to_string(server.pid())).c_str(), &process) == 0);
  CHECK(process.st_uid == ::getpwnam("postgres")->pw_uid);
  CHECK(ask(server.service_conninfo(), "SELECT 'reached'") == "reached");
}

TEST_CASE("a user without rights runs a server of its own", "[embedded]") {
  if (!we_are_root())
    return skip_loudly("already so: every other test here ran without rights");
  const temp_dir folder;
  fs::permissions(folder.path(), fs::perms(0755));
  fs::create_directory(folder / "home");
  REQUIRE(give_to(folder / "home", "nobody"));
  const auto said = in_another_process([&]() -> std::string {
    if (!become("nobody"))
      return "cannot become nobody";
    for (int starts = 0; starts < 2; ++starts) {
      auto server = embedded_server::start(options_for(folder / "home/data"));
      if (!server)
        return server.failure().message;
      if (auto answer = ask(server->service_conninfo(), "SELECT 'reached'"); answer != "reached")
        return answer;
      if (auto stopped = server->stop(); !stopped)
        return stopped.failure().message;
    }
    return "started twice";
  });
  CHECK(said == "started twice");
}

TEST_CASE("only the user who started the server may log in", "[embedded]") {
  if (!we_are_root())
    return skip_loudly("needs root");
  const temp_dir folder;
  fs::permissions(folder.path(), fs::perms(0755));
  fs::create_directory(folder / "data");
  const auto server = must_start(folder / "data");
  fs::permissions(folder / "data", fs::perms(0755));
  for (const auto* login : {"postgres", "colloquy_owner", "colloquy"}) {
    // The cluster belongs to this user, who can reach the socket.
    const auto refused = in_another_process([&]() -> std::string {
      return become("postgres") ? ask(embedded::conninfo(server.socket_dir(), login, "colloquy"), "SELECT 'in'")
                                : "cannot become postgres";
    });
    CHECK_THAT(refused, ContainsSubstring("Peer authentication failed for user \"" + std::string(login) + "\""));
  }
  const auto kept_out = in_another_process([&]() -> std::string {
    return become("nobody") ? ask(server.service_conninfo(), "SELECT 'in'") : "cannot become nobody";
  });
  CHECK_THAT(kept_out, ContainsSubstring("Permission denied"));
}

} // namespace colloquy::db::embedded_test
