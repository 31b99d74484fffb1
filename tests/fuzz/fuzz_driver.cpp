// Runs a fuzzer where there is no libFuzzer: the kept corpus, then random changes to it, from a seed that is printed.
//
// usage: FUZZER CORPUS [RUNS] [SEED]   or   FUZZER FILE...
#include "fuzz_input.hpp"

#include <chrono>
#include <csignal>
#include <filesystem>
#include <fstream>
#include <iostream>
#include <iterator>
#include <random>
#include <string>
#include <vector>

#include <unistd.h>

namespace {

constexpr std::size_t runs_default = 200'000;
constexpr std::size_t bytes_max = 8 * 1024;
constexpr auto time_max = std::chrono::seconds(12); // a slow machine runs fewer

std::string current; // for the handler below: what is being run

/// Whatever ends the program, its input is kept.
void keep_input(int signal) {
  if (std::ofstream out("fuzz-failure.bin", std::ios::binary); out)
    out.write(current.data(), static_cast<std::streamsize>(current.size()));
  std::cerr << "the input is in fuzz-failure.bin; FUZZER fuzz-failure.bin runs it again\n";
  std::signal(signal, SIG_DFL);
  std::raise(signal);
}

void run(const std::string& input) {
  current = input;
  LLVMFuzzerTestOneInput(reinterpret_cast<const std::uint8_t*>(input.data()), input.size());
}

std::string read_file(const std::filesystem::path& path) {
  std::ifstream in(path, std::ios::binary);
  return {std::istreambuf_iterator<char>(in), {}};
}

class mutator {
public:
  explicit mutator(std::uint64_t seed)
    : random_(seed) {}

  std::size_t below(std::size_t most) { return most == 0 ? 0 : random_() % most; }

  std::string change(std::string text, const std::string& other) {
    for (auto times = 1 + below(4); times > 0; --times)
      change_once(text, other);
    text.resize(std::min(text.size(), bytes_max));
    return text;
  }

private:
  void change_once(std::string& text, const std::string& other) {
    static const std::string pieces[] = {"\"",
                                         "\\",
                                         "{",
                                         "}",
                                         "[",
                                         "]",
                                         ",",
                                         ":",
                                         "null",
                                         "true",
                                         "-1",
                                         "0",
                                         "1e400",
                                         "%00",
                                         "%2f",
                                         "%",
                                         "&",
                                         "=",
                                         "..",
                                         "/",
                                         "\x1e",
                                         "\\u0000",
                                         "\\ud800",
                                         "\xff",
                                         "\xc0\x80",
                                         "\n",
                                         "99999999999999999999",
                                         "\"role\":\"user\"",
                                         "2026-12-31T23:59:60Z",
                                         "+23:59",
                                         "*",
                                         "\xed\xa0\x80",
                                         "\xEF\xBB\xBF"};
    const auto at = below(text.size() + 1);
    switch (below(8)) {
    case 0:
      if (at < text.size())
        text[at] = static_cast<char>(random_());
      break;
    case 1:
      text.insert(at, pieces[below(std::size(pieces))]);
      break;
    case 2:
      text.erase(at, 1 + below(8));
      break;
    case 3: { // something of another
      const auto from = below(other.size() + 1);
      text.insert(at, other.substr(from, 1 + below(40)));
      break;
    }
    case 4:
      text = text.substr(0, at) + other.substr(below(other.size() + 1));
      break;
    case 5:
      if (at < text.size())
        text[at] = static_cast<char>(text[at] ^ static_cast<char>(1 << below(8)));
      break;
    case 6: { // something of itself again
      const auto piece = text.substr(at, 1 + below(40));
      text.insert(below(text.size() + 1), piece);
      break;
    }
    default: { // deep
      const auto depth = 1 + below(80);
      const char open = below(2) == 0 ? '[' : '{';
      text.insert(at, std::string(depth, open));
      break;
    }
    }
  }

  std::mt19937_64 random_;
};

int run_corpus(const std::filesystem::path& folder, std::size_t runs, std::uint64_t seed) {
  std::vector<std::filesystem::path> paths(std::filesystem::directory_iterator(folder), {});
  std::sort(paths.begin(), paths.end()); // so that a seed means the same everywhere
  std::vector<std::string> corpus;
  for (const auto& path : paths)
    run(corpus.emplace_back(read_file(path)));
  if (corpus.empty()) {
    std::cerr << "there is nothing in " << folder << '\n';
    return 2;
  }
  std::cout << corpus.size() << " kept inputs hold; seed " << seed << '\n';
  mutator change(seed);
  const auto end = std::chrono::steady_clock::now() + time_max;
  std::size_t done = 0;
  for (; done < runs && std::chrono::steady_clock::now() < end; ++done)
    run(change.change(corpus[change.below(corpus.size())], corpus[change.below(corpus.size())]));
  std::cout << done << " changed ones hold\n";
  return 0;
}

} // namespace

int main(int argc, char** argv) {
  if (argc < 2) {
    std::cerr << "usage: " << argv[0] << " CORPUS [RUNS] [SEED], or FILE...\n";
    return 2;
  }
  for (const int signal : {SIGABRT, SIGSEGV, SIGFPE, SIGBUS})
    std::signal(signal, keep_input);
  if (std::filesystem::is_directory(argv[1])) {
    const auto runs = argc > 2 ? std::stoull(argv[2]) : runs_default;
    const auto seed = argc > 3 ? std::stoull(argv[3]) : std::random_device()();
    return run_corpus(argv[1], runs, seed);
  }
  for (int i = 1; i < argc; ++i)
    run(read_file(argv[i]));
  std::cout << argc - 1 << " inputs hold\n";
  return 0;
}
