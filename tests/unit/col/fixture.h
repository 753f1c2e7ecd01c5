/*
 * fixture.h - what a test of columns needs: an arena, and an account of memory that must be empty at the end.
 */
#ifndef TESTS_UNIT_COL_FIXTURE_H
#define TESTS_UNIT_COL_FIXTURE_H

#include "base/arena.h"
#include "col/type.h"

struct fixture {
    struct mr_arena arena;
    struct mr_memory memory;
    struct mr_error err;
};

/* Of a test or of a group; teardown fails when memory was not given back. */
int fixture_setup(void **state);
int fixture_teardown(void **state);
const struct mr_type *fixture_type(struct fixture *f, const char *text);

#endif
