/*
 * One fixture at a time: the tests of a program run one after the other.
 */
#include "fixture.h"

#include <setjmp.h>
#include <stdarg.h>

#include <cmocka.h>

int fixture_setup(void **state)
{
    static struct fixture fixture;
    mr_arena_init(&fixture.arena, NULL);
    mr_memory_init(&fixture.memory, NULL, "test", INT64_MAX);
    *state = &fixture;
    return 0;
}

int fixture_teardown(void **state)
{
    struct fixture *f = *state;
    mr_arena_reset(&f->arena);
    return mr_memory_used(&f->memory) != 0;
}

const struct mr_type *fixture_type(struct fixture *f, const char *text)
{
    const struct mr_type *type;
    assert_int_equal(mr_type_parse(&f->arena, text, &type, &f->err), MR_OK);
    return type;
}
