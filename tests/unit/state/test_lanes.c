/*
 * test_lanes.c - records and runs of lanes are found by the key of their pipeline, and those of other pipelines are not.
 */
#include "state/state.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

static const char *const keys[] = {"a", "a@t/10", "a@t/2", "a2@t/1", "aa@t/1", "b"};

static void lanes_are_listed(void **out)
{
    struct mr_error err = {0};
    struct mr_arena arena;
    struct mr_state *state = NULL;
    const char *const *found = NULL;
    struct mr_run_row *rows = NULL;
    int count = -1;
    char directory[] = "mr-lanes-XXXXXX", command[64];
    (void)out;
    assert_non_null(mkdtemp(directory));
    mr_arena_init(&arena, NULL);
    assert_int_equal(mr_state_open(&(struct mr_state_config){.directory = directory}, &state, &err),
                     MR_OK);
    for (int i = 0; i < 6; i++) {
        struct mr_lease *lease = NULL;
        int64_t fence;
        struct mr_epoch_record record = {.phase = MR_EPOCH_COMMITTED,
                                         .epoch = i,
                                         .run_id = keys[i],
                                         .maker = "",
                                         .fingerprint = ""};
        struct mr_run_row run = {.run_id = keys[i],
                                 .pipeline = "p",
                                 .state_key = keys[i],
                                 .started_micros = i};
        assert_int_equal(mr_state_lease(state, keys[i], keys[i], &lease, &fence, &err), MR_OK);
        assert_int_equal(mr_state_store_epoch(lease, &record, &err), MR_OK);
        mr_lease_release(lease);
        assert_int_equal(mr_state_run_begin(state, &run, &err), MR_OK);
    }
    assert_int_equal(mr_state_lane_keys(state, "a", &arena, &found, &count, &err), MR_OK);
    assert_int_equal(count, 2);
    assert_string_equal(found[0], "a@t/10");
    assert_string_equal(found[1], "a@t/2");
    assert_int_equal(mr_state_lane_keys(state, "b", &arena, &found, &count, &err), MR_OK);
    assert_int_equal(count, 0);
    assert_int_equal(mr_state_runs(state, "a", true, 9, &arena, &rows, &count, &err), MR_OK);
    assert_int_equal(count, 3);
    assert_string_equal(rows[0].run_id, "a@t/2");
    assert_int_equal(mr_state_runs(state, "a", false, 9, &arena, &rows, &count, &err), MR_OK);
    assert_int_equal(count, 1);
    mr_state_close(state);
    mr_arena_reset(&arena);
    snprintf(command, sizeof command, "rm -rf %s", directory);
    assert_int_equal(system(command), 0);
}

int main(void)
{
    const struct CMUnitTest tests[] = {cmocka_unit_test(lanes_are_listed)};
    return cmocka_run_group_tests(tests, NULL, NULL);
}
