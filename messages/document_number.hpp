// How long a number becomes when it is written out, as PostgreSQL's numeric is. Inside messages/.
#pragma once

#include "messages/json_scan.hpp"

#include <cstddef>
#include <optional>
#include <string>
#include <string_view>

namespace colloquy {

/// Decimal digits of a valid JSON number, written out without exponent: of 12.50e1 four (125.0), of 1e-3 four (0.001).
/// More than some 10^9 are counted as that many.
std::size_t digits_written_out(std::string_view number) noexcept;

/// The bytes of a valid JSON number as jsonb spells it: of -1.50e1 five (-15.0), of 1e-3 five (0.001).
std::size_t bytes_written_out(std::string_view number) noexcept;

/// What is wrong with a number in a document or filter, as the rest of a sentence that begins with its place. None if
/// it is not a number, too.
std::optional<std::string> check_document_number(const json_scalar& value);

} // namespace colloquy
