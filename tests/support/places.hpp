#pragma once

/// Where this build is. Functions, so that only one object file differs between two clones: ccache shares the others.

namespace colloquy::test {

/// The root of the sources, absolute.
const char* source_dir();
/// The program `colloquy` that was built with the tests, absolute.
const char* program();

} // namespace colloquy::test
