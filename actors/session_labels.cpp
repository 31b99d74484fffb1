#include "actors/session_labels.hpp"

#include "actors/session_checks.hpp"

#include <algorithm>

namespace colloquy::actors {

std::vector<std::string> as_set(std::vector<std::string> labels) {
  std::sort(labels.begin(), labels.end());
  labels.erase(std::unique(labels.begin(), labels.end()), labels.end());
  return labels;
}

std::vector<std::string> labels_after(const update_session& request, const session_record& record) {
  auto labels = request.labels.value_or(record.labels);
  labels.insert(labels.end(), request.add_labels.begin(), request.add_labels.end());
  std::erase_if(labels, [&](const std::string& label) {
    return std::find(request.remove_labels.begin(), request.remove_labels.end(), label) != request.remove_labels.end();
  });
  return as_set(std::move(labels));
}

consumption_map consumption_after(const update_session& request, const session_record& record) {
  auto offsets = record.consumption_offsets;
  for (const auto& [client, offset] : request.consumption_offsets)
    if (offset)
      offsets[client] = *offset;
    else
      offsets.erase(client);
  return offsets;
}

std::optional<error> check_labels(const std::vector<std::string>& labels) {
  if (labels.size() > limits::session_labels_max)
    return error{error_code::invalid_request, std::to_string(labels.size()) + " labels of one session; at most " +
                                                  std::to_string(limits::session_labels_max) + " are allowed"};
  if (std::all_of(labels.begin(), labels.end(), is_storable_name))
    return std::nullopt;
  return error{error_code::invalid_request, "a label must be valid UTF-8 without NUL, 1 to " +
                                                std::to_string(limits::name_chars_max) + " characters"};
}

std::optional<error> check_consumption(const consumption_map& offsets) {
  if (offsets.size() > limits::session_consumers_max)
    return error{error_code::invalid_request, std::to_string(offsets.size()) +
                                                  " clients with a consumption offset in one session; at most " +
                                                  std::to_string(limits::session_consumers_max) + " are allowed"};
  for (const auto& [client, offset] : offsets) {
    if (!is_storable_name(client))
      return error{error_code::invalid_request,
                   "a client in consumption_offsets must be valid UTF-8 without NUL, 1 to " +
                       std::to_string(limits::name_chars_max) + " characters"};
    if (offset < 0 || offset > limits::consumption_offset_max)
      return error{error_code::invalid_request, "the consumption offset of \"" + client + "\" is " +
                                                    std::to_string(offset) + "; 0 to " +
                                                    std::to_string(limits::consumption_offset_max) + " is allowed"};
  }
  return std::nullopt;
}

std::size_t label_bytes(const std::vector<std::string>& labels, const consumption_map& offsets) noexcept {
  std::size_t bytes = 0;
  for (const auto& label : labels)
    bytes += label.size();
  for (const auto& [client, offset] : offsets)
    bytes += client.size() + sizeof offset;
  return bytes;
}

} // namespace colloquy::actors
