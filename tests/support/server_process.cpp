#include "tests/support/server_process.hpp"

#include <algorithm>
#include <fcntl.h>
#include <random>
#include <string_view>
#include <unistd.h>

namespace colloquy::test {

namespace embedded = db::embedded;

std::optional<embedded::os_user> server_user() {
  if (::geteuid() != 0)
    return std::nullopt;
  auto user = embedded::find_user("postgres");
  if (!user)
    throw std::runtime_error("servers refuse to run as root, and there is no user postgres");
  return user;
}

std::string random_password() {
  constexpr std::string_view letters = "abcdefghijklmnopqrstuvwxyz234567";
  std::random_device source;
  std::string text;
  while (text.size() < 24)
    text += letters[source() % letters.size()];
  return text;
}

std::string conninfo_quoted(const std::string& value) {
  std::string text = "'";
  for (const char c : value) {
    if (c == '\'' || c == '\\')
      text += '\\';
    text += c;
  }
  return text + "'";
}

void write_private(int folder, const char* name, std::string_view text, const std::optional<embedded::os_user>& owner) {
  if (const int failed = embedded::replace_file_at(folder, name, text, owner ? &*owner : nullptr))
    throw std::runtime_error(embedded::io_failure("write", name, failed).message);
}

server_log::server_log(const std::filesystem::path& file)
  : file_(::open(file.c_str(), O_RDWR | O_CREAT | O_APPEND | O_CLOEXEC, 0600)) {
  if (!file_)
    throw std::runtime_error(embedded::io_failure("open", file, errno).message);
}

std::string server_log::text() const {
  constexpr off_t most = 65536;
  const auto end = ::lseek(file_.get(), 0, SEEK_END);
  std::string text(static_cast<std::size_t>(std::clamp<off_t>(end, 0, most)), '\0');
  const auto got = ::pread(file_.get(), text.data(), text.size(), end - static_cast<off_t>(text.size()));
  text.resize(got > 0 ? static_cast<std::size_t>(got) : 0);
  return text;
}

} // namespace colloquy::test
