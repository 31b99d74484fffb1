#include "db/embedded_files.hpp"

#include <cerrno>
#include <fcntl.h>
#include <grp.h>
#include <pwd.h>
#include <sys/stat.h>
#include <sys/statvfs.h>
#include <system_error>
#include <unistd.h>

namespace colloquy::db::embedded {

void unique_fd::reset() noexcept {
  if (fd_ >= 0)
    ::close(std::exchange(fd_, -1));
}

namespace {

std::vector<gid_t> groups_of(const std::string& name, gid_t primary) {
  int count = 32;
  std::vector<gid_t> groups(32);
  if (::getgrouplist(name.c_str(), primary, groups.data(), &count) < 0) {
    groups.resize(static_cast<std::size_t>(count));
    ::getgrouplist(name.c_str(), primary, groups.data(), &count);
  }
  groups.resize(static_cast<std::size_t>(count));
  return groups;
}

template <class Lookup>
std::optional<os_user> look_up(Lookup lookup) {
  std::vector<char> buffer(16384);
  passwd entry{};
  passwd* found = nullptr;
  if (lookup(&entry, buffer.data(), buffer.size(), &found) != 0 || found == nullptr)
    return std::nullopt;
  os_user user{entry.pw_uid, entry.pw_gid, entry.pw_name, {}};
  user.groups = groups_of(user.name, user.gid);
  return user;
}

} // namespace

std::optional<os_user> find_user(const std::string& name) {
  return look_up([&](passwd* entry, char* buffer, std::size_t size, passwd** found) {
    return ::getpwnam_r(name.c_str(), entry, buffer, size, found);
  });
}

std::optional<os_user> find_user(uid_t uid) {
  return look_up([&](passwd* entry, char* buffer, std::size_t size, passwd** found) {
    return ::getpwuid_r(uid, entry, buffer, size, found);
  });
}

error io_failure(std::string_view action, const std::filesystem::path& path, int error_number) {
  auto text = "cannot " + std::string(action) + " " + path.string() + ": ";
  switch (error_number) {
  case ENOSPC:
  case EDQUOT:
    return {error_code::database_unavailable,
            text + "the disk is full; free some space there, or choose another data folder (--data-dir)"};
  case EROFS:
    return {error_code::invalid_request,
            text + "the file system is read-only; choose another data folder (--data-dir)"};
  case EACCES:
  case EPERM:
    return {error_code::invalid_request,
            text + "no permission for user id " + std::to_string(::geteuid()) +
                "; start as the folder's owner, or choose another data folder (--data-dir)"};
  case ENOTDIR:
  case EEXIST:
    return {error_code::invalid_request,
            text + "a file is where a folder should be; move it away, or choose another data folder (--data-dir)"};
  default:
    return {error_code::internal, text + std::generic_category().message(error_number)};
  }
}

std::optional<std::string> read_file_at(int folder, const char* name, std::size_t max) {
  unique_fd file(::openat(folder, name, O_RDONLY | O_CLOEXEC | O_NOFOLLOW | O_NONBLOCK));
  struct stat status {};
  if (!file || ::fstat(file.get(), &status) != 0 || !S_ISREG(status.st_mode))
    return std::nullopt;
  std::string text(max, '\0');
  std::size_t size = 0;
  while (size < max) {
    const auto got = ::read(file.get(), text.data() + size, max - size);
    if (got < 0 && errno == EINTR)
      continue;
    if (got < 0)
      return std::nullopt;
    if (got == 0)
      break;
    size += static_cast<std::size_t>(got);
  }
  text.resize(size);
  return text;
}

int write_all(int fd, std::string_view text) {
  while (!text.empty()) {
    const auto written = ::write(fd, text.data(), text.size());
    if (written < 0 && errno == EINTR)
      continue;
    if (written < 0)
      return errno;
    text.remove_prefix(static_cast<std::size_t>(written));
  }
  return 0;
}

int replace_file_at(int folder, const char* name, std::string_view text, const os_user* owner) {
  const auto fresh = std::string(name) + ".new";
  if (::unlinkat(folder, fresh.c_str(), 0) != 0 && errno != ENOENT)
    return errno;
  unique_fd file(::openat(folder, fresh.c_str(), O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC | O_NOFOLLOW, 0600));
  if (!file)
    return errno;
  if (owner != nullptr && ::fchown(file.get(), owner->uid, owner->gid) != 0)
    return errno;
  if (const int failed = write_all(file.get(), text))
    return failed;
  return ::renameat(folder, fresh.c_str(), folder, name) == 0 ? 0 : errno;
}

std::optional<std::uint64_t> free_bytes(int folder) {
  struct statvfs status {};
  if (::fstatvfs(folder, &status) != 0)
    return std::nullopt;
  return std::uint64_t{status.f_bavail} * status.f_frsize;
}

std::optional<folder_id> identify(int folder) {
  struct stat status {};
  if (::fstat(folder, &status) != 0)
    return std::nullopt;
  return folder_id{status.st_dev, status.st_ino};
}

} // namespace colloquy::db::embedded
