#include "bench/cpu_time.hpp"

#include <sys/resource.h>

#include <cstdint>
#include <cstdlib>
#include <filesystem>
#include <fstream>
#include <string>

namespace colloquy::bench {
namespace {

std::chrono::nanoseconds to_ns(const timeval& time) {
  return std::chrono::seconds(time.tv_sec) + std::chrono::microseconds(time.tv_usec);
}

/// /proc/PID/stat is "PID (name) state parent ...", and a name may have anything in it.
pid_t parent_of(const std::filesystem::path& process) {
  std::ifstream file(process / "stat");
  std::string line;
  std::getline(file, line);
  const auto name_end = line.rfind(')');
  if (name_end == std::string::npos || name_end + 4 > line.size())
    return -1;
  return static_cast<pid_t>(std::strtol(line.c_str() + name_end + 4, nullptr, 10));
}

std::chrono::nanoseconds time_on_cpu(const std::filesystem::path& process) {
  std::ifstream file(process / "schedstat");
  std::int64_t ns = 0;
  file >> ns;
  return std::chrono::nanoseconds(ns);
}

} // namespace

cpu_time operator-(const cpu_time& left, const cpu_time& right) {
  return {left.own - right.own, left.server - right.server};
}

cpu_time cpu_time_now(pid_t server) {
  cpu_time found;
  rusage own{};
  ::getrusage(RUSAGE_SELF, &own);
  found.own = to_ns(own.ru_utime) + to_ns(own.ru_stime);
  std::error_code ignored;
  for (const auto& entry : std::filesystem::directory_iterator("/proc", ignored))
    if (const auto name = entry.path().filename().string(); name.front() >= '1' && name.front() <= '9')
      if (parent_of(entry.path()) == server)
        found.server += time_on_cpu(entry.path());
  return found;
}

} // namespace colloquy::bench
