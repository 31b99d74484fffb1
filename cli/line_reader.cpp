#include "cli/line_reader.hpp"

#include <algorithm>
#include <cerrno>
#include <cstring>
#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>
#include <utility>

namespace colloquy::cli {
namespace {

constexpr std::size_t read_bytes = std::size_t{256} << 10;

std::string reason(int number) {
  return std::error_code(number, std::generic_category()).message();
}

} // namespace

result<line_reader> line_reader::open(const std::filesystem::path& path, std::size_t bytes_max) {
  // O_NONBLOCK: opening a pipe without a writer would wait for one.
  const int fd = ::open(path.c_str(), O_RDONLY | O_CLOEXEC | O_NONBLOCK);
  if (fd < 0)
    return error{error_code::invalid_request, reason(errno)};
  line_reader opened(fd, bytes_max);
  struct stat status {};
  if (::fstat(fd, &status) != 0)
    return error{error_code::invalid_request, reason(errno)};
  if (S_ISDIR(status.st_mode))
    return error{error_code::invalid_request, "it is a folder"};
  if (!S_ISREG(status.st_mode))
    return error{error_code::invalid_request, "it is no regular file"};
  return opened;
}

line_reader::line_reader(int fd, std::size_t bytes_max)
  : fd_(fd)
  , bytes_max_(bytes_max) {}

line_reader::line_reader(line_reader&& other) noexcept
  : fd_(std::exchange(other.fd_, -1))
  , bytes_max_(other.bytes_max_)
  , buffer_(std::move(other.buffer_))
  , begin_(other.begin_)
  , end_(other.end_)
  , lines_(other.lines_) {}

line_reader& line_reader::operator=(line_reader&& other) noexcept {
  std::swap(fd_, other.fd_);
  std::swap(bytes_max_, other.bytes_max_);
  std::swap(buffer_, other.buffer_);
  std::swap(begin_, other.begin_);
  std::swap(end_, other.end_);
  std::swap(lines_, other.lines_);
  return *this;
}

line_reader::~line_reader() {
  if (fd_ >= 0)
    ::close(fd_);
}

result<bool> line_reader::fill() {
  if (begin_ > 0) {
    std::memmove(buffer_.data(), buffer_.data() + begin_, end_ - begin_);
    end_ -= std::exchange(begin_, 0);
  }
  // Doubling, so that a long line is not moved for every piece of it.
  if (buffer_.size() - end_ < read_bytes)
    buffer_.resize(std::max(buffer_.size() * 2, end_ + read_bytes));
  ssize_t count = 0;
  do
    count = ::read(fd_, buffer_.data() + end_, buffer_.size() - end_);
  while (count < 0 && errno == EINTR);
  if (count < 0)
    return error{error_code::internal, "cannot be read: " + reason(errno)};
  end_ += static_cast<std::size_t>(count);
  return count > 0;
}

result<std::optional<text_line>> line_reader::next() {
  text_line line{lines_ + 1};
  std::size_t searched = 0;
  for (;;) {
    const char* const text = buffer_.data() + begin_;
    const std::size_t size = end_ - begin_;
    const void* found = size > searched ? std::memchr(text + searched, '\n', size - searched) : nullptr;
    if (found != nullptr) {
      const auto length = static_cast<std::size_t>(static_cast<const char*>(found) - text);
      line.too_long = line.too_long || length > bytes_max_;
      line.text = line.too_long ? std::string_view() : std::string_view(text, length);
      begin_ += length + 1;
      break;
    }
    searched = size;
    if (size > bytes_max_) { // what is there of it is let go; only its end is looked for
      line.too_long = true;
      begin_ = end_;
      searched = 0;
    }
    auto more = fill();
    if (!more)
      return more.failure();
    if (!*more) {
      if (begin_ == end_ && !line.too_long)
        return std::optional<text_line>();
      line.text = line.too_long ? std::string_view() : std::string_view(buffer_.data() + begin_, end_ - begin_);
      begin_ = end_;
      break;
    }
  }
  ++lines_;
  return std::optional<text_line>(line);
}

} // namespace colloquy::cli
