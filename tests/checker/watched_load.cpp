#include "tests/checker/watched_load.hpp"

#include "db/embedded_files.hpp"
#include "tests/support/server_process.hpp"

#include <csignal>
#include <fcntl.h>
#include <fstream>
#include <sstream>
#include <sys/wait.h>
#include <unistd.h>

namespace colloquy::checker {
namespace {

using db::embedded::unique_fd;

void write_lines(const std::filesystem::path& path, const std::vector<line>& lines) {
  std::ofstream file(path, std::ios::trunc);
  for (const auto& each : lines)
    file << to_text(each) << '\n';
}

} // namespace

watched_load::watched_load(const watched_options& options)
  : log_(options.folder / (options.name + ".log")) {
  const auto known = options.folder / (options.name + ".known");
  write_lines(known, options.known);
  int ends[2];
  if (::pipe2(ends, O_CLOEXEC) != 0)
    throw std::runtime_error("no pipe for the load");
  unique_fd in(ends[0]), out(ends[1]);
  const unique_fd log(::open(log_.c_str(), O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0600));
  db::embedded::child_plan plan;
  plan.program = options.program;
  plan.arguments = options.arguments;
  for (const auto& word : {std::string("--name"), options.name, std::string("--known"), known.string()})
    plan.arguments.push_back(word);
  plan.output = out.get();
  plan.errors = log.get();
  child_ = test::must(db::embedded::child_process::start(std::move(plan)));
  reader_ = std::thread([this, pipe = std::move(in)] { read(pipe.get()); });
}

watched_load::~watched_load() {
  child_.reset(); // kills it
  reader_.join();
}

void watched_load::read(int pipe) {
  std::string rest;
  char bytes[65536];
  for (ssize_t got = 0; (got = ::read(pipe, bytes, sizeof bytes)) != 0;) {
    if (got < 0)
      continue; // a signal
    rest.append(bytes, static_cast<std::size_t>(got));
    const std::lock_guard lock(mutex_);
    std::size_t from = 0;
    for (auto end = rest.find('\n'); end != std::string::npos; end = rest.find('\n', from)) {
      lines_.push_back(parse_line(std::string_view(rest).substr(from, end - from)));
      from = end + 1;
    }
    rest.erase(0, from);
    changed_.notify_all();
  }
  const std::lock_guard lock(mutex_);
  is_over_ = true;
  changed_.notify_all();
}

std::optional<int> watched_load::wait(std::chrono::seconds limit) {
  const auto deadline = std::chrono::steady_clock::now() + limit;
  const auto status = child_->wait_until(deadline);
  if (!status)
    return std::nullopt;
  std::unique_lock lock(mutex_);
  if (!changed_.wait_until(lock, deadline, [&] { return is_over_; }))
    return std::nullopt;
  return WIFEXITED(*status) ? WEXITSTATUS(*status) : 128 + WTERMSIG(*status);
}

std::size_t watched_load::said() const {
  const std::lock_guard lock(mutex_);
  return lines_.size();
}

bool watched_load::await(const std::function<bool(const line&)>& wanted, std::size_t from,
                         std::chrono::milliseconds within) {
  std::unique_lock lock(mutex_);
  bool found = false;
  changed_.wait_for(lock, within, [&] {
    for (; from < lines_.size() && !found; ++from)
      found = wanted(lines_[from]);
    return found || is_over_;
  });
  return found;
}

std::vector<line> watched_load::lines() const {
  const std::lock_guard lock(mutex_);
  return lines_;
}

std::string watched_load::log() const {
  constexpr std::size_t most = 4000;
  std::ifstream file(log_, std::ios::binary);
  std::stringstream text;
  text << file.rdbuf();
  auto all = text.str();
  return all.size() > most ? "..." + all.substr(all.size() - most) : all;
}

} // namespace colloquy::checker
