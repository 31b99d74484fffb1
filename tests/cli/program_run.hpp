// Running the real program and looking at what it says.
#pragma once

#include "tests/support/places.hpp"
#include "tests/support/temp_dir.hpp"

#include <chrono>
#include <csignal>
#include <fcntl.h>
#include <filesystem>
#include <fstream>
#include <spawn.h>
#include <sstream>
#include <stdexcept>
#include <string>
#include <sys/wait.h>
#include <thread>
#include <vector>

namespace colloquy::cli::test {

inline std::string text_of(const std::filesystem::path& path) {
  std::ifstream file(path, std::ios::binary);
  std::stringstream text;
  text << file.rdbuf();
  return text.str();
}

/// A run of the program in an empty folder, with an environment of nothing but what it needs. Killed if it is still
/// there when the object goes.
class program_run {
public:
  explicit program_run(std::vector<std::string> arguments) {
    std::vector<std::string> command;
    command.emplace_back(colloquy::test::program());
    for (auto& word : arguments)
      command.push_back(std::move(word));
    const char* const path = std::getenv("PATH");
    std::vector<std::string> environment{std::string("PATH=") + (path != nullptr ? path : "/usr/bin:/bin"),
                                         "HOME=" + dir_.path().string(), "LC_ALL=C.UTF-8"};
    auto argv = pointers(command);
    auto envp = pointers(environment);
    posix_spawn_file_actions_t actions;
    posix_spawn_file_actions_init(&actions);
    posix_spawn_file_actions_addchdir_np(&actions, dir_.path().c_str());
    posix_spawn_file_actions_addopen(&actions, 0, "/dev/null", O_RDONLY, 0);
    posix_spawn_file_actions_addopen(&actions, 1, out_.c_str(), O_WRONLY | O_CREAT | O_TRUNC, 0600);
    posix_spawn_file_actions_addopen(&actions, 2, err_.c_str(), O_WRONLY | O_CREAT | O_TRUNC, 0600);
    const int failed = ::posix_spawn(&pid_, colloquy::test::program(), &actions, nullptr, argv.data(), envp.data());
    posix_spawn_file_actions_destroy(&actions);
    if (failed != 0)
      throw std::runtime_error(std::string("cannot start ") + colloquy::test::program());
  }
  program_run(const program_run&) = delete;
  program_run& operator=(const program_run&) = delete;
  ~program_run() {
    if (pid_ > 0) {
      ::kill(pid_, SIGKILL);
      ::waitpid(pid_, nullptr, 0);
    }
  }

  void signal(int number) { ::kill(pid_, number); }

  /// Waits for the end. The exit code; 128 and the signal's number if one ended it; -1 if it did not end in time.
  int wait(std::chrono::seconds limit = std::chrono::seconds(120)) {
    const auto deadline = std::chrono::steady_clock::now() + limit;
    int status = 0;
    while (::waitpid(pid_, &status, WNOHANG) == 0) {
      if (std::chrono::steady_clock::now() > deadline)
        return -1;
      std::this_thread::sleep_for(std::chrono::milliseconds(5)); // a process tells nobody but its parent's wait
    }
    pid_ = -1;
    return WIFEXITED(status) ? WEXITSTATUS(status) : 128 + WTERMSIG(status);
  }

  std::string out() const { return text_of(out_); }
  std::string err() const { return text_of(err_); }

private:
  static std::vector<char*> pointers(std::vector<std::string>& words) {
    std::vector<char*> all;
    all.reserve(words.size() + 1);
    for (auto& word : words)
      all.push_back(word.data());
    all.push_back(nullptr);
    return all;
  }

  colloquy::test::temp_dir dir_;
  const std::filesystem::path out_ = dir_ / "stdout";
  const std::filesystem::path err_ = dir_ / "stderr";
  pid_t pid_ = -1;
};

} // namespace colloquy::cli::test
