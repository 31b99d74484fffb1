// Descriptors, users and small files for the embedded server. Everything below a folder goes through that folder's
// descriptor and never follows a symbolic link: started as root we work in a folder that another user may write.
#pragma once

#include <cstdint>
#include <filesystem>
#include <optional>
#include <string>
#include <string_view>
#include <sys/types.h>
#include <utility>
#include <vector>

#include "messages/error.hpp"

namespace colloquy::db::embedded {

/// Owns one file descriptor; -1 is none.
class unique_fd {
public:
  unique_fd() = default;
  explicit unique_fd(int fd) noexcept
    : fd_(fd) {}
  unique_fd(unique_fd&& other) noexcept
    : fd_(std::exchange(other.fd_, -1)) {}
  unique_fd& operator=(unique_fd&& other) noexcept {
    std::swap(fd_, other.fd_);
    return *this;
  }
  unique_fd(const unique_fd&) = delete;
  unique_fd& operator=(const unique_fd&) = delete;
  ~unique_fd() { reset(); }

  int get() const noexcept { return fd_; }
  explicit operator bool() const noexcept { return fd_ >= 0; }
  void reset() noexcept;

private:
  int fd_ = -1;
};

/// A user of the operating system, with what a child needs to become it.
struct os_user {
  uid_t uid = 0;
  gid_t gid = 0;
  std::string name;
  std::vector<gid_t> groups;
};

/// Nothing if there is no such user (or the user database cannot be read).
std::optional<os_user> find_user(const std::string& name);
std::optional<os_user> find_user(uid_t uid);

/// The sentence for a failed call on a path: "cannot <action> <path>: <why>; <what to do>".
error io_failure(std::string_view action, const std::filesystem::path& path, int error_number);

/// At most `max` bytes of a regular file; nothing if it is not there or not readable.
std::optional<std::string> read_file_at(int folder, const char* name, std::size_t max = 8192);

/// Writes a file beside the old one and puts it in its place, owned by `owner` if given. Returns 0 or an errno.
int replace_file_at(int folder, const char* name, std::string_view text, const os_user* owner);

/// Writes all of `text`. Returns 0 or an errno.
int write_all(int fd, std::string_view text);

/// The bytes that an unprivileged user can still write on the file system of `folder`.
std::optional<std::uint64_t> free_bytes(int folder);

/// A folder's identity, whatever path leads to it.
struct folder_id {
  dev_t device = 0;
  ino_t inode = 0;
  bool operator==(const folder_id&) const = default;
};
std::optional<folder_id> identify(int folder);

} // namespace colloquy::db::embedded
