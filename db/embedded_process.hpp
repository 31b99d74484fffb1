// A child process that never outlives us, however we end.
#pragma once

#include <chrono>
#include <functional>
#include <memory>
#include <optional>
#include <string>
#include <sys/types.h>
#include <vector>

#include "db/embedded_files.hpp"
#include "messages/error.hpp"

namespace colloquy::db::embedded {

using steady_time = std::chrono::steady_clock::time_point;

/// Where the child finds the folder that it works in. A path would not do: started as root we give up our rights, and
/// then may not even pass through the folders above it (root's home is closed to everybody else).
inline constexpr const char* child_folder = "/proc/self/fd/3";

/// What to run. The child gets a session of its own (Ctrl-C on our terminal does not reach it), "/" as its working
/// directory, umask 077, default signals, a bare environment, and no descriptor of ours but those named here.
struct child_plan {
  std::string program; ///< absolute path
  std::vector<std::string> arguments;
  std::optional<os_user> run_as; ///< only root may name one
  int folder = -1;               ///< becomes `child_folder`
  int output = -1;               ///< -1: nowhere
  int errors = -1;
  int death_signal = 9; ///< what the child gets when we are gone
};

/// One child. A thread of its own forks it, lives as long as the child, and reaps it: the kernel sends the death signal
/// when the *thread* that forked ends. All calls are safe from any thread. The destructor kills what still runs.
class child_process {
public:
  /// Blocks until the program runs or cannot. `housekeeping` is called on the child's thread every 30 s.
  static result<child_process> start(child_plan plan, std::function<void()> housekeeping = {});

  child_process(child_process&&) noexcept;
  child_process& operator=(child_process&&) noexcept;
  ~child_process();

  pid_t pid() const noexcept;
  /// The status of waitpid(2) if the child ended before the deadline.
  std::optional<int> wait_until(steady_time deadline) const;
  bool running() const { return !wait_until({}).has_value(); }
  /// False if the child is gone; its number never reaches another process.
  bool signal(int number) const;

private:
  struct state;
  explicit child_process(std::unique_ptr<state> fresh);
  std::unique_ptr<state> state_;
};

/// "exit code 1" or "signal 9".
std::string describe_exit(int wait_status);

struct finished_child {
  int status = 0;
  std::string text; ///< standard output and standard error, at most 64 KiB
};

/// Runs a program to its end; at the deadline it is killed and that is the error.
result<finished_child> run_to_end(child_plan plan, steady_time deadline);

} // namespace colloquy::db::embedded
