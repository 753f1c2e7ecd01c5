/*
 * test_ask.c - steps that ask for values of their rows: the question, the plan that answers it, the answer.
 */
#include "run/discover.h"
#include "unit/exec/toy.h"

#include <string.h>

/* Plans as a session does. The plan is the toy's. */
static enum mr_status discover(struct toy *toy, bool connect)
{
    struct mr_session session = {.spec = &toy->spec, .engine = NULL};
    struct mr_engine_options options = {.permits = 2};
    assert_int_equal(mr_engine_new(&options, &session.engine, NULL), MR_OK);
    mr_arena_init(&session.arena, NULL);
    struct mr_plan_request request = {
        .spec = &toy->spec,
        .arena = &toy->arena,
        .runtime = &toy->runtime,
        .tz = toy->tz,
        .connect = connect,
        .with_splits = connect,
        .with_sinks = true,
    };
    enum mr_status status = mr_discover_and_plan(&session, &request, &toy->errors, &toy->err);
    toy->plan = session.plan;
    mr_engine_free(session.engine);
    /* Answers are in the plan: both live as long as the session. */
    if (toy->plan != NULL)
        for (int i = 0; i < toy->plan->nnodes; i++)
            if (toy->plan->nodes[i].kind == MR_PLAN_OP && toy->plan->nodes[i].op == &toy_ask)
                assert_int_equal(toy->plan->nodes[i].op_info.details != NULL, connect);
    mr_arena_reset(&session.arena);
    return status;
}

static void ask_twice(struct toy *toy, const char *most)
{
    toy_init(toy, 2, INT64_MAX);
    toy_step(toy, "toySource", "splits", "3", "rows", "20", "readers", "2", NULL);
    toy_step(toy, "toyAsk", "of", "CASE WHEN v > 0 THEN v * 3 END", "most", most, NULL);
    toy_step(toy, "toyGroup", "pulls", "2", NULL);
    toy_step(toy, "toyAsk", "of", "v % 3 = 0", NULL);
    toy_step(toy, "toyAsk", "of", "v", "values", "1,2", NULL);
    toy_step(toy, "toySink", NULL);
}

static void test_answers(void **state)
{
    (void)state;
    struct toy toy;
    ask_twice(&toy, "100");
    assert_int_equal(discover(&toy, true), MR_OK);
    const struct mr_plan_node *nodes = toy.plan->nodes;
    /* In the order of numbers, not of texts. */
    assert_string_equal(nodes[1].op_info.details, "NULL 3 6 9 12 15 18 21 24 27");
    assert_non_null(strstr(nodes[1].note, "10 values of CASE WHEN v > 0 THEN v * 3 END were read"));
    assert_string_equal(nodes[3].op_info.details, "false true");
    assert_string_equal(nodes[4].op_info.details, "");
    assert_null(nodes[4].note);
    assert_int_equal(toy.batches_read, 2 * 13); /* once for each question */
    assert_int_equal(toy_run(&toy), MR_OK);
    assert_int_equal(toy_count(&toy, 0), 10);
    toy_reset(&toy);
}

static void test_too_many(void **state)
{
    (void)state;
    struct toy toy;
    ask_twice(&toy, "9");
    assert_int_equal(discover(&toy, true), MR_CONFIG);
    assert_non_null(strstr(toy.err.message, "step 2 (toyAsk): "));
    assert_non_null(strstr(toy.err.message, "has more than 9 different values"));
    assert_non_null(strstr(toy.err.hint, "\"values\""));
    toy_reset(&toy);
}

static void test_offline(void **state)
{
    (void)state;
    struct toy toy;
    ask_twice(&toy, "100");
    assert_int_equal(discover(&toy, false), MR_OK);
    assert_int_equal(toy.batches_read, 0);
    assert_null(toy.plan->nodes[1].schema);
    toy_reset(&toy);
    toy_init(&toy, 2, INT64_MAX);
    toy_step(&toy, "toySource", NULL);
    toy_step(&toy, "toyAsk", "of", "v +", NULL);
    toy_step(&toy, "toySink", NULL);
    assert_int_equal(discover(&toy, false), MR_CONFIG);
    toy_reset(&toy);
}

static void test_failure(void **state)
{
    (void)state;
    struct toy toy;
    ask_twice(&toy, "100");
    toy.fail_next_after = 4;
    assert_int_equal(discover(&toy, true), MR_SOURCE);
    assert_string_equal(toy.err.where, "step 1 (toySource)");
    toy_reset(&toy);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_answers),
        cmocka_unit_test(test_too_many),
        cmocka_unit_test(test_offline),
        cmocka_unit_test(test_failure),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
