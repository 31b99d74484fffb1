// Hears the JSON of a filter and builds the tree of it. Inside messages/; document_filter.hpp has the grammar.
#pragma once

#include "messages/document_filter.hpp"
#include "messages/json_pointer.hpp"
#include "messages/json_scan.hpp"

#include <array>
#include <cstddef>
#include <cstdint>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

namespace colloquy {

inline constexpr std::array<std::string_view, 8> operator_names{"$eq", "$ne",  "$gt", "$gte",
                                                                "$lt", "$lte", "$in", "$nin"}; // as filter_operator

constexpr bool takes_array(filter_operator op) noexcept {
  return op == filter_operator::in || op == filter_operator::nin;
}

class filter_reader final : public json_listener {
public:
  bool on_key(int depth, std::string_view key) override;
  bool on_scalar(int depth, const json_scalar& value) override;
  bool on_open(int depth, json_kind kind) override;
  bool on_close(int depth) override;

  /// After a scan that succeeded.
  document_filter take() { return std::move(whole_); }

private:
  enum class place_kind : std::uint8_t {
    filter,    ///< an object: fields, $and, $or
    filters,   ///< the array of $and or $or
    operators, ///< a field's object
    values     ///< the array of $in or $nin
  };
  /// An object or array that is open. What belongs to it is put together here.
  struct frame {
    place_kind kind = place_kind::filter;
    document_filter node{};                   ///< of filter and filters
    std::string key{};                        ///< of filter: the last one; of operators: the field
    filter_operator op = filter_operator::eq; ///< of operators: the last one; of values: whose
    bool has_operators = false;               ///< of operators
    std::vector<filter_literal> literals{};   ///< of values
  };

  bool open_in_filter(json_kind kind);
  bool open(place_kind kind, document_filter::what node_kind = document_filter::what::all);
  bool take_literal(frame& in, const json_scalar& value);
  bool add_test(frame& operators, std::vector<filter_literal> operands);
  bool refuse_here(std::string_view why);
  bool refuse_value();
  bool refuse_operator(std::string_view key);

  std::vector<frame> open_;
  json_place place_;
  std::size_t tests_ = 0;
  document_filter whole_;
};

} // namespace colloquy
