#include "db/journal_disk.hpp"

#include <algorithm>
#include <array>
#include <cerrno>
#include <fcntl.h>
#include <string>
#include <string_view>
#include <sys/file.h>
#include <sys/stat.h>
#include <system_error>
#include <unistd.h>

namespace colloquy::db::journal {
namespace {

namespace fs = std::filesystem;
using embedded::unique_fd;

error io_failure(std::string_view action, const fs::path& path, int error_number) {
  const auto text = "cannot " + std::string(action) + " " + path.string() + " for the journal: ";
  switch (error_number) {
  case ENOSPC:
  case EDQUOT:
    return {error_code::overloaded, text + "the disk is full; free some space there, or set another journal_path"};
  case EACCES:
  case EPERM:
  case EROFS:
  case ELOOP:
  case ENOTDIR:
  case EISDIR:
  case EEXIST:
    return {error_code::invalid_request,
            text + std::generic_category().message(error_number) + "; set another journal_path"};
  default:
    return {error_code::internal, text + std::generic_category().message(error_number)};
  }
}

/// A regular file of ours that nobody else may read. Never through a symbolic link.
result<unique_fd> open_private(const fs::path& path) {
  unique_fd fd(::open(path.c_str(), O_RDWR | O_CREAT | O_CLOEXEC | O_NOFOLLOW | O_NONBLOCK, 0600));
  struct stat found {};
  if (!fd || ::fstat(fd.get(), &found) != 0)
    return io_failure("open", path, errno);
  if (!S_ISREG(found.st_mode))
    return error{error_code::invalid_request, path.string() + " is no regular file; set another journal_path"};
  if ((found.st_mode & 07777) != 0600 && ::fchmod(fd.get(), 0600) != 0)
    return io_failure("take others' rights from", path, errno);
  return fd;
}

/// The number in the lock's file: who has it. It tells people, nothing depends on it.
std::string owner_of(const unique_fd& fd) {
  std::array<char, 32> text{};
  const auto length = ::pread(fd.get(), text.data(), text.size(), 0);
  const std::string_view read(text.data(), static_cast<std::size_t>(std::max<ssize_t>(length, 0)));
  return std::string(read.substr(0, read.find_first_not_of("0123456789")));
}

} // namespace

result<void> make_folders(const fs::path& folder) {
  std::error_code ignored;
  if (folder.empty() || fs::is_directory(folder, ignored))
    return {};
  if (folder.has_relative_path())
    if (auto above = make_folders(folder.parent_path()); !above)
      return above;
  if (::mkdir(folder.c_str(), 0700) != 0)
    return io_failure("make folder", folder, errno);
  return {};
}

result<void> make_file(const fs::path& path) {
  auto fd = open_private(path);
  if (!fd)
    return fd.failure();
  const unique_fd folder(::open(path.parent_path().c_str(), O_RDONLY | O_DIRECTORY | O_CLOEXEC));
  if (!folder || ::fsync(folder.get()) != 0) // its name must survive, too
    return io_failure("write to folder", path.parent_path(), errno);
  return {};
}

result<unique_fd> lock(const fs::path& path) {
  auto beside = path;
  beside += ".lock";
  auto fd = open_private(beside);
  if (!fd)
    return fd;
  if (::flock(fd->get(), LOCK_EX | LOCK_NB) != 0) {
    if (errno != EWOULDBLOCK)
      return io_failure("lock", beside, errno);
    const auto owner = owner_of(*fd);
    return error{error_code::conflict, "the journal " + path.string() + " is in use by " +
                                           (owner.empty() ? "another process" : "process " + owner) +
                                           "; give each process a journal_path of its own"};
  }
  const auto pid = std::to_string(::getpid()) + "\n";
  if (::ftruncate(fd->get(), 0) == 0) [[maybe_unused]]
    const auto written = ::pwrite(fd->get(), pid.data(), pid.size(), 0); // on a full disk, without
  return fd;
}

} // namespace colloquy::db::journal
