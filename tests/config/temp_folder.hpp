// A folder of its own for one test case, gone afterwards.
#pragma once

#include "messages/ids.hpp"

#include <filesystem>
#include <fstream>
#include <string>
#include <system_error>

namespace colloquy::test {

class temp_folder {
public:
  temp_folder()
    : path_(std::filesystem::temp_directory_path() / ("colloquy-config-" + process_id::make().to_string())) {
    std::filesystem::create_directory(path_);
  }
  ~temp_folder() {
    std::error_code ignored;
    std::filesystem::remove_all(path_, ignored);
  }
  temp_folder(const temp_folder&) = delete;
  temp_folder& operator=(const temp_folder&) = delete;

  const std::filesystem::path& path() const { return path_; }

  std::filesystem::path write(const std::string& name, const std::string& text) const {
    std::ofstream(path_ / name, std::ios::binary) << text;
    return path_ / name;
  }

private:
  std::filesystem::path path_;
};

} // namespace colloquy::test
