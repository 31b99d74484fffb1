// Catch2's own main, compiled once for all test programs. Catch2 3 brings it as a library instead.
#if !__has_include(<catch2/catch_all.hpp>)
#define CATCH_CONFIG_MAIN
#include <catch2/catch.hpp>
#endif
