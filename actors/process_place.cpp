#include "actors/process_place.hpp"

#include <signal.h>
#include <unistd.h>

#include <array>
#include <cerrno>
#include <charconv>
#include <fstream>
#include <limits>
#include <string>
#include <vector>

namespace colloquy::actors {
namespace {

// Fields of /proc/<pid>/stat (proc(5)), counted from behind the name, which ends with the last ')'.
constexpr std::size_t field_state = 0;
constexpr std::size_t field_threads = 17;
constexpr std::size_t field_started = 19;

std::string first_line(const std::string& path) {
  std::ifstream file(path);
  std::string line;
  std::getline(file, line);
  return line;
}

std::string link_target(const char* path) {
  std::array<char, 256> target{};
  const auto length = ::readlink(path, target.data(), target.size());
  const bool is_whole = length > 0 && static_cast<std::size_t>(length) < target.size();
  return is_whole ? std::string(target.data(), static_cast<std::size_t>(length)) : std::string();
}

std::vector<std::string_view> words(std::string_view text) {
  constexpr std::string_view spaces = " \t\n";
  std::vector<std::string_view> out;
  for (auto start = text.find_first_not_of(spaces); start != std::string_view::npos;) {
    const auto end = text.find_first_of(spaces, start);
    out.push_back(text.substr(start, end == std::string_view::npos ? end : end - start));
    start = end == std::string_view::npos ? end : text.find_first_not_of(spaces, end);
  }
  return out;
}

std::optional<std::int64_t> number(std::string_view text) {
  std::int64_t value = 0;
  const auto [end, failed] = std::from_chars(text.data(), text.data() + text.size(), value);
  if (failed != std::errc{} || end != text.data() + text.size())
    return std::nullopt;
  return value;
}

/// Whether /proc counts processes as we do: a container may see its host's.
bool is_proc_of_our_namespace() {
  std::ifstream status("/proc/self/status");
  for (std::string line; std::getline(status, line);) {
    if (!line.starts_with("NSpid:"))
      continue;
    const auto pids = words(std::string_view(line).substr(6));
    return pids.size() == 1 && number(pids[0]) == static_cast<std::int64_t>(::getpid());
  }
  return false;
}

std::string own_machine() {
  if (!is_proc_of_our_namespace())
    return {};
  const auto boot = first_line("/proc/sys/kernel/random/boot_id");
  const auto processes = link_target("/proc/self/ns/pid");
  if (boot.empty() || processes.empty())
    return {};
  return boot + ' ' + processes + ' ' + link_target("/proc/self/ns/time"); // kernels before 5.6 have only one
}

std::optional<process_stat> stat_of(std::int64_t pid) {
  return parse_process_stat(first_line("/proc/" + std::to_string(pid) + "/stat"));
}

} // namespace

std::optional<process_stat> parse_process_stat(std::string_view line) {
  const auto name_end = line.rfind(')'); // the name may hold anything, brackets and spaces too
  if (name_end == std::string_view::npos)
    return std::nullopt;
  const auto fields = words(line.substr(name_end + 1));
  if (fields.size() <= field_started || fields[field_state].size() != 1)
    return std::nullopt;
  const auto threads = number(fields[field_threads]), started = number(fields[field_started]);
  if (!threads || !started)
    return std::nullopt;
  return process_stat{fields[field_state].front(), *threads, *started};
}

db::process_place place_of_process(pid_t pid) {
  const auto found = pid > 0 ? stat_of(pid) : std::nullopt;
  return found ? db::process_place{own_machine(), pid, found->started_ticks} : db::process_place{};
}

db::process_place own_process_place() {
  return place_of_process(::getpid());
}

bool has_ended(const db::process_place& place) {
  // To kill(2), 0 and less are whole groups of processes.
  if (place.machine.empty() || place.pid <= 0 || place.pid > std::numeric_limits<pid_t>::max() ||
      place.machine != own_machine())
    return false;
  // /proc may hide the processes of other users (hidepid), so that it is gone is for the kernel to say.
  if (::kill(static_cast<pid_t>(place.pid), 0) != 0 && errno == ESRCH)
    return true;
  const auto found = stat_of(place.pid);
  if (!found)
    return false;
  const bool is_another = place.started_ticks > 0 && found->started_ticks != place.started_ticks;
  // A zombie has run to its end, unless only its first thread has.
  const bool is_zombie = found->state == 'Z' && found->threads <= 1;
  return is_another || is_zombie;
}

} // namespace colloquy::actors
