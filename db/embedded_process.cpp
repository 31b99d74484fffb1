#include "db/embedded_process.hpp"

#include <cerrno>
#include <condition_variable>
#include <csignal>
#include <cstdlib>
#include <fcntl.h>
#include <grp.h>
#include <mutex>
#include <poll.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <system_error>
#include <thread>
#include <unistd.h>

namespace colloquy::db::embedded {

namespace {

constexpr auto housekeeping_interval = std::chrono::seconds(30);

/// Everything the child needs, made before the fork: after it only async-signal-safe calls are allowed.
struct prepared_child {
  explicit prepared_child(const child_plan& p)
    : plan(p) {
    environment.emplace_back("LC_ALL=C");
    for (const auto* name : {"PATH", "LD_LIBRARY_PATH"})
      if (const auto* value = std::getenv(name))
        environment.push_back(std::string(name) + "=" + value);
    words.push_back(plan.program);
    words.insert(words.end(), plan.arguments.begin(), plan.arguments.end());
    for (auto& word : words)
      argv.push_back(word.data());
    argv.push_back(nullptr);
    for (auto& entry : environment)
      envp.push_back(entry.data());
    envp.push_back(nullptr);
  }

  const child_plan& plan;
  pid_t owner = ::getpid();
  std::vector<std::string> words;
  std::vector<std::string> environment;
  std::vector<char*> argv;
  std::vector<char*> envp;
};

void reset_signals() {
  struct sigaction usual {};
  usual.sa_handler = SIG_DFL;
  for (int number = 1; number < NSIG; ++number)
    ::sigaction(number, &usual, nullptr);
  sigset_t none;
  ::sigemptyset(&none);
  ::sigprocmask(SIG_SETMASK, &none, nullptr);
}

void close_from(unsigned first) {
#ifdef SYS_close_range
  if (::syscall(SYS_close_range, first, ~0U, 0U) == 0)
    return;
#endif
  for (int fd = static_cast<int>(first); fd < 65536; ++fd)
    ::close(fd);
}

/// Puts the child's descriptors at 0–3 and the report at 4. All are lifted out of the way first, since any of them may
/// have one of these numbers already.
bool arrange_descriptors(const child_plan& plan, int report) {
  const int nowhere = ::open("/dev/null", O_RDWR | O_CLOEXEC);
  const int sources[] = {nowhere, plan.output >= 0 ? plan.output : nowhere, plan.errors >= 0 ? plan.errors : nowhere,
                         plan.folder >= 0 ? plan.folder : nowhere};
  int lifted[4];
  for (int i = 0; i < 4; ++i)
    if ((lifted[i] = ::fcntl(sources[i], F_DUPFD_CLOEXEC, 10)) < 0)
      return false;
  const int lifted_report = ::fcntl(report, F_DUPFD_CLOEXEC, 10);
  for (int i = 0; i < 4; ++i)
    if (::dup2(lifted[i], i) < 0)
      return false;
  if (::dup3(lifted_report, 4, O_CLOEXEC) < 0)
    return false;
  close_from(5);
  return true;
}

bool become(const os_user& user) {
  return ::setgroups(user.groups.size(), user.groups.data()) == 0 && ::setresgid(user.gid, user.gid, user.gid) == 0 &&
         ::setresuid(user.uid, user.uid, user.uid) == 0;
}

/// Runs in the child. Only returns by a failure, which goes to the owner through `report`.
[[noreturn]] void run_child(const prepared_child& child, int report) {
  const auto& plan = child.plan;
  reset_signals();
  ::setsid();
  ::umask(077);
  const bool arranged = arrange_descriptors(plan, report);
  if (arranged)
    report = 4;
  if (arranged && ::chdir("/") == 0 && (!plan.run_as || become(*plan.run_as)) &&
      // After the change of user, which would clear it; and the owner may have died before.
      ::prctl(PR_SET_PDEATHSIG, plan.death_signal) == 0) {
    if (::getppid() != child.owner)
      ::_exit(127);
    ::execve(plan.program.c_str(), child.argv.data(), child.envp.data());
  }
  const int failed = errno;
  [[maybe_unused]] const auto written = ::write(report, &failed, sizeof failed);
  ::_exit(127);
}

int open_pidfd([[maybe_unused]] pid_t pid) {
#ifdef SYS_pidfd_open
  return static_cast<int>(::syscall(SYS_pidfd_open, pid, 0U));
#else
  return -1;
#endif
}

} // namespace

struct child_process::state {
  child_plan plan;
  std::function<void()> housekeeping;
  std::thread keeper;
  mutable std::mutex mutex;
  mutable std::condition_variable changed;
  std::optional<int> start_errno; ///< 0 once the program runs
  std::optional<int> status;      ///< set in the same moment as the child is reaped
  pid_t pid = -1;

  ~state() {
    signal(SIGKILL);
    if (keeper.joinable())
      keeper.join();
  }

  bool signal(int number) const {
    const std::lock_guard lock(mutex);
    return pid > 0 && !status && ::kill(pid, number) == 0;
  }

  void started(int error_number) {
    const std::lock_guard lock(mutex);
    start_errno = error_number;
    changed.notify_all();
  }

  void reap() {
    // Waits without reaping, so that `signal` can never meet a number that was given away.
    siginfo_t info{};
    while (::waitid(P_PID, static_cast<id_t>(pid), &info, WEXITED | WNOWAIT) != 0 && errno == EINTR) {
    }
    const std::lock_guard lock(mutex);
    int ended = 0;
    const auto reaped = ::waitpid(pid, &ended, 0);
    status = reaped == pid ? ended : 0; // someone else in this process reaped it: how it ended is lost
    changed.notify_all();
  }

  void keep_house() {
    const unique_fd ended(open_pidfd(pid));
    if (!ended || !housekeeping)
      return;
    constexpr auto interval = std::chrono::milliseconds(housekeeping_interval).count();
    pollfd entry{ended.get(), POLLIN, 0};
    for (int ready = 0; ready <= 0;) {
      ready = ::poll(&entry, 1, static_cast<int>(interval));
      if (ready == 0)
        housekeeping();
      else if (ready < 0 && errno != EINTR)
        return;
    }
  }

  void run() {
    int ends[2];
    if (::pipe2(ends, O_CLOEXEC) != 0)
      return started(errno);
    unique_fd reading(ends[0]);
    unique_fd writing(ends[1]);
    const prepared_child child(plan);
    const pid_t forked = ::fork();
    if (forked == 0)
      run_child(child, writing.get());
    if (forked < 0)
      return started(errno);
    {
      const std::lock_guard lock(mutex);
      pid = forked;
    }
    writing.reset();
    int failed = 0;
    while (::read(reading.get(), &failed, sizeof failed) < 0 && errno == EINTR) {
    }
    started(failed);
    keep_house();
    reap();
  }
};

child_process::child_process(std::unique_ptr<state> fresh)
  : state_(std::move(fresh)) {}
child_process::child_process(child_process&&) noexcept = default;
child_process& child_process::operator=(child_process&&) noexcept = default;
child_process::~child_process() = default;

result<child_process> child_process::start(child_plan plan, std::function<void()> housekeeping) {
  auto s = std::make_unique<state>();
  s->plan = std::move(plan);
  s->housekeeping = std::move(housekeeping);
  // The thread must never take a signal that the program waits for elsewhere; it inherits this mask.
  sigset_t all;
  sigset_t before;
  ::sigfillset(&all);
  ::pthread_sigmask(SIG_SETMASK, &all, &before);
  int thread_errno = 0;
  try {
    s->keeper = std::thread([raw = s.get()] { raw->run(); });
  } catch (const std::system_error& e) {
    thread_errno = e.code().value();
  }
  ::pthread_sigmask(SIG_SETMASK, &before, nullptr);
  if (thread_errno != 0)
    return error{error_code::internal,
                 "cannot start a thread for " + s->plan.program + ": " + std::generic_category().message(thread_errno)};
  {
    std::unique_lock lock(s->mutex);
    s->changed.wait(lock, [&] { return s->start_errno.has_value(); });
  }
  if (*s->start_errno != 0)
    return error{error_code::invalid_request, "cannot run " + s->plan.program +
                                                  (s->plan.run_as ? " as user " + s->plan.run_as->name : "") + ": " +
                                                  std::generic_category().message(*s->start_errno)};
  return child_process(std::move(s));
}

pid_t child_process::pid() const noexcept {
  return state_->pid;
}

std::optional<int> child_process::wait_until(steady_time deadline) const {
  std::unique_lock lock(state_->mutex);
  state_->changed.wait_until(lock, deadline, [&] { return state_->status.has_value(); });
  return state_->status;
}

bool child_process::signal(int number) const {
  return state_->signal(number);
}

std::string describe_exit(int wait_status) {
  if (WIFSIGNALED(wait_status))
    return "signal " + std::to_string(WTERMSIG(wait_status));
  return "exit code " + std::to_string(WEXITSTATUS(wait_status));
}

result<finished_child> run_to_end(child_plan plan, steady_time deadline) {
  const auto program = plan.program;
  // In memory: what a program says about a full disk could not be written to that disk.
  const unique_fd text(::memfd_create("colloquy-child", MFD_CLOEXEC));
  if (!text)
    return error{error_code::internal,
                 "cannot take the output of " + program + ": " + std::generic_category().message(errno)};
  ::fcntl(text.get(), F_SETFL, O_APPEND);
  plan.output = plan.errors = text.get();
  auto child = child_process::start(std::move(plan));
  if (!child)
    return child.failure();
  const auto status = child->wait_until(deadline);
  if (!status)
    return error{error_code::deadline_exceeded, program + " did not end in time; the machine may be overloaded"};
  finished_child done{*status, std::string(65536, '\0')};
  const auto got = ::pread(text.get(), done.text.data(), done.text.size(), 0);
  done.text.resize(got > 0 ? static_cast<std::size_t>(got) : 0);
  return done;
}

} // namespace colloquy::db::embedded
