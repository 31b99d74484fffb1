#include "gateway/compress.hpp"


#include <zlib.h>

#include <algorithm>

namespace colloquy::gateway {
namespace {

namespace asio = boost::asio;

// What JSON gains by a higher one is little, and its time is the caller's wait.
constexpr int level = 3;
constexpr int gzip_window_bits = 15 + 16;
constexpr int memory_level = 8;

/// From this size on it would keep others waiting.
constexpr std::size_t aside_bytes_min = std::size_t{64} << 10;

} // namespace

bool takes_gzip(std::string_view accept_encoding) noexcept {
  while (!accept_encoding.empty()) {
    const auto comma = std::min(accept_encoding.find(','), accept_encoding.size());
    auto coding = accept_encoding.substr(0, comma);
    accept_encoding.remove_prefix(std::min(comma + 1, accept_encoding.size()));
    coding.remove_prefix(std::min(coding.find_first_not_of(" \t"), coding.size()));
    const auto name = coding.substr(0, coding.find_first_of("; \t"));
    if (name != "gzip" && name != "*")
      continue;
    const auto quality = coding.find("q=");
    return quality == std::string_view::npos ||
           coding.substr(quality + 2).find_first_of("123456789") != std::string_view::npos;
  }
  return false;
}

std::optional<std::string> gzip(std::string_view text) {
  z_stream stream{};
  if (deflateInit2(&stream, level, Z_DEFLATED, gzip_window_bits, memory_level, Z_DEFAULT_STRATEGY) != Z_OK)
    return std::nullopt;
  std::string out(text.size(), '\0'); // no larger, else it is not worth it
  stream.next_in = reinterpret_cast<Bytef*>(const_cast<char*>(text.data()));
  stream.avail_in = static_cast<uInt>(text.size());
  stream.next_out = reinterpret_cast<Bytef*>(out.data());
  stream.avail_out = static_cast<uInt>(out.size());
  const bool is_done = deflate(&stream, Z_FINISH) == Z_STREAM_END;
  out.resize(stream.total_out);
  deflateEnd(&stream);
  return is_done ? std::optional(std::move(out)) : std::nullopt;
}

task<std::string_view> compress(http_reply& reply, const http_request& request, std::size_t bytes_min,
                                asio::thread_pool& aside) {
  if (bytes_min == 0 || reply.body.size() < bytes_min || !request.accept_encoding ||
      !takes_gzip(*request.accept_encoding))
    co_return "";
  reply.headers.emplace_back("Vary", "Accept-Encoding");
  const auto compressed = [&] { return gzip(reply.body); };
  std::optional<std::string> small;
  if (reply.body.size() < aside_bytes_min)
    small = compressed();
  else
    small = co_await run_aside(aside, compressed);
  if (!small)
    co_return "";
  reply.body = std::move(*small);
  co_return "gzip";
}

} // namespace colloquy::gateway
