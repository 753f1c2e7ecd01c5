/*
 * fixture.h - what the contract suites and the tests of stores, formats and sinks need: a runtime, a temporary directory, batches.
 */
#ifndef MR_TESTS_CONTRACT_FIXTURE_H
#define MR_TESTS_CONTRACT_FIXTURE_H

#include "col/batch.h"
#include "ext/registry.h"
#include "ext/runtime.h"

struct fixture {
    struct mr_memory memory;
    struct mr_counters counters;
    struct mr_waiter waiter;
    struct mr_runtime runtime;
    struct mr_registry registry;
    struct mr_arena arena;
    struct mr_error err;
    char directory[256]; /* temporary, removed at the end */
};

/* Ends the program with a message when it cannot. `memory_limit` 0 = none. */
void fixture_init(struct fixture *fixture, int64_t memory_limit);
/* 0, or 1 with a message when memory is still charged. */
int fixture_reset(struct fixture *fixture);

/* Prints the error and ends the program unless the status is MR_OK. */
#define FIXTURE_OK(fixture, expression) fixture_ok(expression, &(fixture)->err, __FILE__, __LINE__)
void fixture_ok(enum mr_status status, const struct mr_error *err, const char *file, int line);

/*
 * Rows from texts: schema as mr_schema_parse reads it; each row its values separated by '|', NULL spelled as "~".
 * BOOL, integers, floats, decimals, dates (as days), timestamps (as microseconds), strings, binary.
 */
struct mr_batch *fixture_batch(struct fixture *fixture, const char *schema,
                               const char *const *rows);
const struct mr_schema *fixture_schema(struct fixture *fixture, const char *text);
/* A file's bytes, NUL behind them; in the arena. NULL when it is not there. */
char *fixture_read(struct fixture *fixture, const char *path, size_t *size);
/* Paths of all files below a directory (hidden ones too), sorted, one a line; in the arena. */
char *fixture_tree(struct fixture *fixture, const char *directory);

#endif
