#include "db/embedded_log.hpp"

#include <algorithm>
#include <cerrno>
#include <fcntl.h>
#include <string_view>
#include <sys/stat.h>
#include <unistd.h>

namespace colloquy::db::embedded {

namespace {

constexpr const char* log_name = "postgres.log";
constexpr const char* old_log_name = "postgres.log.1";
constexpr off_t size_max = 16 * 1024 * 1024;
constexpr off_t size_kept = 1024 * 1024;
constexpr off_t words_max = 4096;

off_t size_of(int file) {
  struct stat status {};
  return ::fstat(file, &status) == 0 ? status.st_size : 0;
}

std::string read_range(int file, off_t from, off_t to) {
  std::string text(static_cast<std::size_t>(std::max<off_t>(to - from, 0)), '\0');
  const auto got = ::pread(file, text.data(), text.size(), from);
  text.resize(got > 0 ? static_cast<std::size_t>(got) : 0);
  return text;
}

} // namespace

result<server_log> server_log::open(const data_folder& data) {
  server_log log;
  log.folder_ = unique_fd(::fcntl(data.folder.get(), F_DUPFD_CLOEXEC, 0));
  log.file_ =
      unique_fd(::openat(data.folder.get(), log_name, O_RDWR | O_APPEND | O_CREAT | O_CLOEXEC | O_NOFOLLOW, 0600));
  if (!log.folder_ || !log.file_)
    return io_failure("open", data.path / log_name, errno);
  log.trim();
  log.opened_at_ = size_of(log.file_.get());
  return log;
}

std::string server_log::since_open() const {
  const auto end = size_of(file_.get());
  return read_range(file_.get(), std::max(opened_at_, end - words_max), end);
}

void server_log::trim() const {
  const auto end = size_of(file_.get());
  if (end <= size_max)
    return;
  // Lines written between these two calls are lost, which a log may.
  replace_file_at(folder_.get(), old_log_name, read_range(file_.get(), end - size_kept, end), nullptr);
  [[maybe_unused]] const int failed = ::ftruncate(file_.get(), 0);
}

} // namespace colloquy::db::embedded
