/*
 * clamp.h - a number, kept within bounds.
 */
#ifndef MR_BASE_CLAMP_H
#define MR_BASE_CLAMP_H

#include <stdint.h>

static inline int64_t mr_clamp(int64_t value, int64_t least, int64_t most)
{
    return value < least ? least : value > most ? most : value;
}

#endif
