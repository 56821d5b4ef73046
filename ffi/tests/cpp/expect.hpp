// What the C++ tests share: an expectation that says where it does not hold.
#ifndef EXPECT_HPP
#define EXPECT_HPP

#include <cstdlib>
#include <iostream>

#define EXPECT(condition)                                                                   \
    do {                                                                                    \
        if (!(condition)) {                                                                 \
            std::cerr << __FILE__ << ':' << __LINE__ << ": not so: " << #condition << '\n'; \
            std::exit(1);                                                                   \
        }                                                                                   \
    } while (false)

#endif
