// Versions of stores and documents: which of two is newer.
#pragma once

#include <compare>
#include <string>
#include <string_view>

namespace colloquy {

/// Part by part, the parts between dots: by the number that a part begins with, of any size, none being older than any;
/// then one with something behind its number is older than the number alone, and such by code point, digits at the same
/// place by their number. So "draft" is older than "1-beta2", that older than "1-beta10", that older than "1"; and "v9"
/// is older than "v10". What ends first is older: "1" is older than "1.0". Equal are those that differ in leading zeros
/// alone.
std::strong_ordering compare_versions(std::string_view a, std::string_view b) noexcept;

/// The same text for all versions that are equal.
std::string normal_version(std::string_view version);

} // namespace colloquy
