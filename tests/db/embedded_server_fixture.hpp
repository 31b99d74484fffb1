// What the tests of the embedded server share.
#pragma once

#include <cerrno>
#include <chrono>
#include <csignal>
#include <filesystem>
#include <fstream>
#include <functional>
#include <grp.h>
#include <memory>
#include <poll.h>
#include <pwd.h>
#include <sstream>
#include <string>
#include <sys/prctl.h>
#include <sys/wait.h>
#include <unistd.h>

#include "db/embedded_files.hpp"
#include "db/embedded_roles.hpp"
#include "db/embedded_server.hpp"
#include "db/libpq_handles.hpp"
#include "tests/support/catch.hpp"
#include "tests/support/temp_dir.hpp"

namespace colloquy::db::embedded_test {

using colloquy::test::ContainsSubstring;
using colloquy::test::temp_dir;
using namespace std::chrono_literals;

inline embedded_options options_for(const std::filesystem::path& data_dir) {
  embedded_options options;
  options.data_dir = data_dir;
  return options;
}

/// Fails the test with the server's own words if it does not start.
inline embedded_server must_start(const embedded_options& options) {
  auto server = embedded_server::start(options);
  INFO((server ? "" : server.failure().message));
  REQUIRE(server);
  return std::move(*server);
}

inline embedded_server must_start(const std::filesystem::path& data_dir) {
  return must_start(options_for(data_dir));
}

/// The first value of a query's result, or the error's text.
inline std::string ask(const std::string& conninfo, const std::string& sql) {
  const connection_ptr c(PQconnectdb(conninfo.c_str()));
  if (PQstatus(c.get()) != CONNECTION_OK)
    return PQerrorMessage(c.get());
  PQsetNoticeProcessor(
      c.get(), [](void*, const char*) {}, nullptr);
  const result_ptr r(PQexec(c.get(), sql.c_str()));
  const auto status = PQresultStatus(r.get());
  if (status == PGRES_COMMAND_OK)
    return "done";
  return status == PGRES_TUPLES_OK && PQntuples(r.get()) > 0 ? PQgetvalue(r.get(), 0, 0)
                                                             : PQresultErrorMessage(r.get());
}

inline std::string superuser(const embedded_server& server, const std::string& database = "postgres") {
  return embedded::conninfo(server.socket_dir(), "postgres", database);
}

inline std::string read_file(const std::filesystem::path& path) {
  std::ostringstream text;
  text << std::ifstream(path).rdbuf();
  return text.str();
}

inline void write_file(const std::filesystem::path& path, const std::string& text) {
  std::ofstream(path) << text;
}

/// Polls every few milliseconds.
inline bool eventually(const std::function<bool()>& holds, std::chrono::milliseconds within = 20s) {
  const auto deadline = std::chrono::steady_clock::now() + within;
  while (!holds()) {
    if (std::chrono::steady_clock::now() >= deadline)
      return false;
    ::poll(nullptr, 0, 2);
  }
  return true;
}

/// A zombie that nobody has reaped yet counts as gone.
inline bool process_runs(pid_t pid) {
  const auto stat = read_file("/proc/" + std::to_string(pid) + "/stat");
  const auto name_end = stat.rfind(") ");
  return name_end != std::string::npos && stat[name_end + 2] != 'Z';
}

/// A copy of this process that dies with it and tells something by a pipe. It must not use Catch2.
class forked {
public:
  /// `work` runs in the copy; what it gives to `say` can be read here. The copy then waits until it is killed.
  explicit forked(const std::function<void(const std::function<void(const std::string&)>& say)>& work) {
    int ends[2];
    if (::pipe2(ends, O_CLOEXEC) != 0)
      throw std::runtime_error("no pipe");
    const auto parent = ::getpid();
    pid_ = ::fork();
    if (pid_ == 0) {
      ::close(ends[0]);
      ::prctl(PR_SET_PDEATHSIG, SIGKILL);
      if (::getppid() == parent)
        work([&](const std::string& text) {
          const auto line = text + '\0';
          [[maybe_unused]] const auto written = ::write(ends[1], line.data(), line.size());
        });
      ::close(ends[1]);
      while (true)
        ::pause();
    }
    ::close(ends[1]);
    reading_ = ends[0];
  }
  forked(const forked&) = delete;
  forked& operator=(const forked&) = delete;
  ~forked() {
    kill();
    ::close(reading_);
  }

  pid_t pid() const { return pid_; }

  /// What it said next; empty if it ended or has no more to say.
  std::string heard() {
    std::string text;
    for (char c = 0; ::read(reading_, &c, 1) == 1 && c != '\0';)
      text += c;
    return text;
  }

  void kill() {
    if (pid_ <= 0)
      return;
    ::kill(pid_, SIGKILL);
    ::waitpid(pid_, nullptr, 0);
    pid_ = -1;
  }

private:
  pid_t pid_ = -1;
  int reading_ = -1;
};

/// Runs `work` in a copy of this process and gives back what it returned.
inline std::string in_another_process(const std::function<std::string()>& work) {
  forked other([&](const auto& say) { say(work()); });
  return other.heard();
}

/// "started", or the error's message.
inline std::string try_start(const embedded_options& options) {
  auto server = embedded_server::start(options);
  return server ? "started" : server.failure().message;
}

/// For a copy of this process: from now on it is that user, for good.
inline bool become(const char* name) {
  const auto* user = ::getpwnam(name);
  return user != nullptr && ::setgroups(0, nullptr) == 0 && ::setgid(user->pw_gid) == 0 && ::setuid(user->pw_uid) == 0;
}

inline bool give_to(const std::filesystem::path& path, const char* name) {
  const auto* user = ::getpwnam(name);
  return user != nullptr && ::chown(path.c_str(), user->pw_uid, user->pw_gid) == 0;
}

inline bool we_are_root() {
  return ::geteuid() == 0;
}

} // namespace colloquy::db::embedded_test
