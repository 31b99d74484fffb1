#include "db/embedded_leftovers.hpp"

#include <algorithm>
#include <cerrno>
#include <charconv>
#include <csignal>
#include <fcntl.h>
#include <poll.h>
#include <string>
#include <string_view>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <unistd.h>
#include <vector>

namespace colloquy::db::embedded {

namespace {

namespace fs = std::filesystem;
using namespace std::chrono_literals;

constexpr auto poll_interval = 10ms;
constexpr auto quit_patience = 7s; ///< PostgreSQL itself kills its children 5 s after SIGQUIT
constexpr auto kill_patience = 5s;

/// A postgres process whose working directory is the cluster, which it is for every one of them.
struct server_process {
  pid_t pid = 0;
  pid_t parent = 0;
  bool server = false;             ///< not a child that gave itself a title
  std::optional<pid_t> started_by; ///< from `owner_setting`
};

std::optional<pid_t> to_pid(std::string_view digits) {
  pid_t pid = 0;
  const auto [end, failed] = std::from_chars(digits.data(), digits.data() + digits.size(), pid);
  return failed == std::errc() && end == digits.data() + digits.size() && pid > 0 ? std::optional(pid) : std::nullopt;
}

pid_t parent_of(int proc) {
  const auto text = read_file_at(proc, "stat").value_or("");
  // "pid (name) state parent ...": the name may hold anything, also parentheses.
  const auto after = text.rfind(") ");
  if (after == std::string::npos || after + 4 > text.size())
    return 0;
  const auto digits = std::string_view(text).substr(after + 4);
  return to_pid(digits.substr(0, digits.find(' '))).value_or(0);
}

bool runs_postgres(int proc) {
  char target[4096];
  const auto size = ::readlinkat(proc, "exe", target, sizeof target);
  if (size <= 0)
    return false;
  auto program = std::string_view(target, static_cast<std::size_t>(size));
  constexpr std::string_view replaced = " (deleted)"; // by an upgrade of the package
  if (program.ends_with(replaced))
    program.remove_suffix(replaced.size());
  return program.ends_with("/postgres");
}

std::optional<server_process> inspect(pid_t pid, const folder_id& cluster) {
  const unique_fd proc(::open(("/proc/" + std::to_string(pid)).c_str(), O_PATH | O_DIRECTORY | O_CLOEXEC));
  struct stat work {};
  if (!proc || ::fstatat(proc.get(), "cwd", &work, 0) != 0 || !(folder_id{work.st_dev, work.st_ino} == cluster) ||
      !runs_postgres(proc.get()))
    return std::nullopt;
  const auto words = read_file_at(proc.get(), "cmdline", 65536).value_or("");
  server_process found{pid, parent_of(proc.get()), !words.starts_with("postgres: "), std::nullopt};
  if (const auto at = words.find(owner_setting); found.server && at != std::string::npos) {
    const auto digits = std::string_view(words).substr(at + std::string_view(owner_setting).size());
    found.started_by = to_pid(digits.substr(0, digits.find('\0')));
  }
  return found;
}

std::vector<server_process> processes_in(int folder) {
  std::vector<server_process> found;
  const auto cluster = identify(folder);
  std::error_code ignored;
  for (fs::directory_iterator entry("/proc", ignored), end; cluster && entry != end; entry.increment(ignored))
    if (const auto pid = to_pid(entry->path().filename().string()))
      if (const auto process = inspect(*pid, *cluster))
        found.push_back(*process);
  return found;
}

/// Through a descriptor of the process, and looked at once more after it is taken: its number may have gone to another
/// process since.
void signal_checked(const server_process& process, int folder, int number) {
#if defined(SYS_pidfd_open) && defined(SYS_pidfd_send_signal)
  const unique_fd held(static_cast<int>(::syscall(SYS_pidfd_open, process.pid, 0U)));
  const auto cluster = identify(folder);
  if (!cluster || !inspect(process.pid, *cluster))
    return;
  if (held)
    ::syscall(SYS_pidfd_send_signal, held.get(), number, nullptr, 0U);
  else
    ::kill(process.pid, number);
#else
  const auto cluster = identify(folder);
  if (cluster && inspect(process.pid, *cluster))
    ::kill(process.pid, number);
#endif
}

/// Nobody's but ours: started by us, and the one who started it is gone. Children count with their server.
std::optional<error> refusal(const std::vector<server_process>& all, const fs::path& path) {
  for (const auto& process : all) {
    if (!process.server)
      continue;
    if (!process.started_by)
      return error{error_code::conflict, "a PostgreSQL server that Colloquy has not started (process " +
                                             std::to_string(process.pid) + ") works in " + path.string() +
                                             "; stop it first"};
    if (process.parent == *process.started_by)
      return error{error_code::conflict, "data folder " + path.parent_path().string() + " is in use by process " +
                                             std::to_string(process.parent) + "; stop it first"};
  }
  return std::nullopt;
}

} // namespace

result<void> await_previous_server(int cluster_folder, const fs::path& path, std::chrono::milliseconds patience) {
  // Removed by a clean stop: the usual case costs one look.
  if (::faccessat(cluster_folder, "postmaster.pid", F_OK, AT_SYMLINK_NOFOLLOW) != 0)
    return {};
  const auto begun = std::chrono::steady_clock::now();
  auto next_signal = begun + patience;
  int number = SIGQUIT;
  while (true) {
    const auto all = processes_in(cluster_folder);
    if (all.empty())
      return {};
    if (const auto refused = refusal(all, path))
      return *refused;
    const auto now = std::chrono::steady_clock::now();
    if (now >= next_signal) {
      if (number == 0)
        return error{error_code::database_unavailable, "the PostgreSQL server of an earlier run (process " +
                                                           std::to_string(all.front().pid) + ") in " + path.string() +
                                                           " does not end; end it by hand"};
      for (const auto& process : all) {
        signal_checked(process, cluster_folder, number);
        signal_checked(process, cluster_folder, SIGCONT); // one that was stopped takes no other signal
      }
      next_signal = now + (number == SIGQUIT ? std::chrono::milliseconds(quit_patience) : kill_patience);
      number = number == SIGQUIT ? SIGKILL : 0;
    }
    ::poll(nullptr, 0, static_cast<int>(std::chrono::milliseconds(poll_interval).count()));
  }
}

void end_unfinished_initdb(int folder) {
  const auto deadline = std::chrono::steady_clock::now() + kill_patience;
  for (auto all = processes_in(folder); !all.empty() && std::chrono::steady_clock::now() < deadline;
       all = processes_in(folder)) {
    for (const auto& process : all)
      signal_checked(process, folder, SIGKILL);
    ::poll(nullptr, 0, static_cast<int>(std::chrono::milliseconds(poll_interval).count()));
  }
}

} // namespace colloquy::db::embedded
