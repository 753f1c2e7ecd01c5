/*
 * test_plan.c - frames, errors, rewrites and tasks, on the toys of tests/unit/exec.
 */
#include "plan/build.h"
#include "unit/exec/toy.h"

#include <stdio.h>
#include <string.h>

static void start(struct toy *toy)
{
    toy_init(toy, 2, INT64_MAX);
}

static void expect_error(struct toy *toy, const char *message, const char *where)
{
    assert_int_equal(toy_plan(toy, true), MR_CONFIG);
    if (strstr(toy->err.message, message) == NULL || strcmp(toy->err.where, where) != 0)
        fail_msg("%s: %s", toy->err.where, toy->err.message);
    toy_reset(toy);
}

static void test_frame_errors(void **state)
{
    (void)state;
    struct toy toy;
    start(&toy);
    toy_step(&toy, "toyPass", NULL);
    expect_error(&toy, "step 1 (toyPass): there are no rows yet", "toy.json:1:3");
    start(&toy);
    toy_step(&toy, "toySource", "as", "a", NULL);
    toy_step(&toy, "toyUnion", "from", "a,users", NULL);
    expect_error(&toy, "step 2 (toyUnion): no earlier step registers a frame \"users\"",
                 "toy.json:2:3");
    start(&toy);
    toy_step(&toy, "toySource", "as", "a", NULL);
    toy_step(&toy, "toyPass", "as", "A", NULL);
    expect_error(&toy, "registered a frame \"A\" already", "toy.json:2:3");
    start(&toy);
    toy_step(&toy, "toySource", NULL);
    toy_step(&toy, "toyKnown", "from", "a,b,c", NULL);
    expect_error(&toy, "no earlier step", "toy.json:2:3");
}

static void test_several_errors(void **state)
{
    (void)state;
    struct toy toy;
    start(&toy);
    toy_step(&toy, "toySource", "as", "a", NULL);
    toy_step(&toy, "toyPass", "column", "nope", NULL);
    toy_step(&toy, "toyPass", "column", "also behind an error", NULL);
    toy_step(&toy, "toyPass", "from", "a", "column", "neither", NULL);
    toy_step(&toy, "toySink", NULL);
    assert_int_equal(toy_plan(&toy, true), MR_CONFIG);
    assert_int_equal(toy.errors.count, 2);
    assert_non_null(strstr(toy.errors.items[0].message, "step 2 (toyPass): no column"));
    assert_string_equal(toy.errors.items[1].where, "toy.json:4:3");
    toy_reset(&toy);
}

static void test_offline(void **state)
{
    (void)state;
    struct toy toy;
    start(&toy);
    toy_step(&toy, "toySource", "catalog", "true", NULL);
    toy_step(&toy, "toyPass", "condition", "id + 1 > 2", NULL);
    toy_step(&toy, "toySink", NULL);
    assert_int_equal(toy_plan(&toy, false), MR_OK);
    assert_null(toy.plan->nodes[1].schema);
    struct mr_bytes text;
    mr_bytes_init(&text, 1 << 20);
    mr_plan_explain_text(toy.plan, &text);
    assert_non_null(strstr(text.data, "checked on connect"));
    mr_bytes_reset(&text);
    toy_reset(&toy);
    start(&toy);
    toy_step(&toy, "toySource", "catalog", "true", NULL);
    toy_step(&toy, "toyPass", "condition", "id + ) > 2", NULL);
    toy_step(&toy, "toySink", NULL);
    assert_int_equal(toy_plan(&toy, false), MR_CONFIG);
    assert_non_null(strstr(toy.err.message, "step 2 (toyPass)"));
    toy_reset(&toy);
}

static void filters(struct toy *toy)
{
    start(toy);
    toy->narrow = true;
    toy_step(toy, "toySource", "splits", "2", NULL);
    toy_step(toy, "toyPass", NULL);
    toy_step(toy, "toyFilter", "condition", "v >= 3 AND v % 2 = 0 AND (id < 5 OR v IS NULL)", NULL);
    toy_step(toy, "toySelect", NULL);
    toy_step(toy, "toySink", NULL);
}

static void test_filter_is_pushed(void **state)
{
    (void)state;
    struct toy toy;
    filters(&toy);
    toy.answer = MR_PUSH_EXACT;
    assert_int_equal(toy_plan(&toy, true), MR_OK);
    assert_int_equal(toy.npredicates, 2);
    assert_int_equal(toy.plan->nodes[0].npushed, 2);
    assert_string_equal(toy.plan->nodes[0].pushed[0], "v >= 3");
    assert_string_equal(toy.plan->nodes[0].pushed[1], "(id < 5 OR v IS NULL)");
    assert_string_equal(toy.plan->nodes[2].op_info.details, "v % 2 = 0");
    assert_int_equal(toy.plan->nodes[0].schema->nfields, 2); /* v is used by the rest */
    toy_reset(&toy);

    filters(&toy);
    toy.answer = MR_PUSH_PARTIAL;
    assert_int_equal(toy_plan(&toy, true), MR_OK);
    assert_string_equal(toy.plan->nodes[0].pushed[0], "v >= 3 (partly)");
    assert_string_equal(toy.plan->nodes[2].op_info.details,
                        "v >= 3 AND v % 2 = 0 AND (id < 5 OR v IS NULL)");
    toy_reset(&toy);

    filters(&toy);
    toy.answer = MR_PUSH_EXACT;
    toy.spec.rewrites = false;
    assert_int_equal(toy_plan(&toy, true), MR_OK);
    assert_int_equal(toy.plan->nodes[0].npushed, 0);
    toy_reset(&toy);
}

static void test_whole_filter_is_absorbed(void **state)
{
    (void)state;
    struct toy toy;
    start(&toy);
    toy.answer = MR_PUSH_EXACT;
    toy.narrow = true;
    toy_step(&toy, "toySource", "splits", "2", NULL);
    toy_step(&toy, "toyFilter", "condition", "v IN (1, 2) AND id BETWEEN 2 AND 9", NULL);
    toy_step(&toy, "toySelect", NULL);
    toy_step(&toy, "toySink", NULL);
    assert_int_equal(toy_plan(&toy, true), MR_OK);
    assert_true(toy.plan->nodes[1].absorbed);
    assert_int_equal(toy.plan->nodes[2].inputs[0].node, 0);
    assert_int_equal(toy.plan->nodes[0].schema->nfields, 1); /* v is needed by nobody any more */
    assert_int_equal(toy_run(&toy), MR_OK);
    assert_int_equal(toy.result.steps[1].rows_in, 0);
    toy_reset(&toy);
}

/* The other consumer of the frame wants all rows. */
static void test_shared_frame_is_not_filtered(void **state)
{
    (void)state;
    struct toy toy;
    start(&toy);
    toy.answer = MR_PUSH_EXACT;
    toy_step(&toy, "toySource", "as", "a", NULL);
    toy_step(&toy, "toyFilter", "condition", "v >= 3", NULL);
    toy_step(&toy, "toySink", NULL);
    toy_step(&toy, "toyPass", "from", "a", NULL);
    toy_step(&toy, "toySink", NULL);
    assert_int_equal(toy_plan(&toy, true), MR_OK);
    assert_int_equal(toy.npredicates, 0);
    assert_false(toy.plan->nodes[1].absorbed);
    toy_reset(&toy);
}

static void check_split(const char *text, const char *first, int count)
{
    struct mr_arena arena;
    mr_arena_init(&arena, NULL);
    const char **parts;
    int n;
    assert_int_equal(mr_plan_split_conjuncts(&arena, text, &parts, &n, NULL), MR_OK);
    assert_int_equal(n, count);
    assert_string_equal(parts[0], first);
    mr_arena_reset(&arena);
}

static void test_split_conjuncts(void **state)
{
    (void)state;
    check_split("a", "a", 1);
    check_split("a and b AND c", "a", 3);
    check_split("a AND b OR c", "a AND b OR c", 1);
    check_split("a BETWEEN 1 AND 2 AND b", "a BETWEEN 1 AND 2", 2);
    check_split("x = ' AND ' AND y", "x = ' AND '", 2);
    check_split("x = 'it''s AND' AND y", "x = 'it''s AND'", 2);
    check_split("x = 'a\\' AND ' AND y", "x = 'a\\' AND '", 2);
    check_split("`a AND b` = 1", "`a AND b` = 1", 1);
    check_split("CASE WHEN a AND b THEN c END AND d", "CASE WHEN a AND b THEN c END", 2);
    check_split("(a AND b) AND f(c AND d)", "(a AND b)", 2);
    check_split("brand AND android", "brand", 2);
    check_split("a -- AND b\n AND c", "a -- AND b\n AND c", 1);
}

static void test_explain(void **state)
{
    (void)state;
    struct toy toy;
    start(&toy);
    toy_step(&toy, "toySource", "splits", "12", "readers", "3", "as", "users", NULL);
    toy_step(&toy, "toySource", "splits", "2", NULL);
    toy_step(&toy, "toyKnown", "ref", "users", NULL);
    toy_step(&toy, "toySink", NULL);
    assert_int_equal(toy_plan(&toy, true), MR_OK);
    struct mr_bytes text;
    mr_bytes_init(&text, 1 << 20);
    mr_plan_explain_text(toy.plan, &text);
    assert_non_null(strstr(text.data, "fills step 3 (toyKnown)"));
    assert_non_null(strstr(text.data, "after step 3 (toyKnown) is filled"));
    assert_non_null(strstr(text.data, "... and 5 more"));
    mr_bytes_clear(&text);
    mr_plan_explain_json(toy.plan, &text);
    assert_int_equal(text.status, MR_OK);
    assert_non_null(strstr(text.data, "\"gather\":\"rotate\""));
    assert_null(strstr(text.data, ",,"));
    mr_bytes_reset(&text);
    assert_int_equal(strlen(toy.plan->fingerprint), 16);
    toy_reset(&toy);
}

/* The same plan twice has the same fingerprint; another option, another one. */
static void test_fingerprint(void **state)
{
    (void)state;
    char seen[3][17];
    for (int i = 0; i < 3; i++) {
        struct toy toy;
        start(&toy);
        toy_step(&toy, "toySource", NULL);
        toy_step(&toy, "toyTasks", "count", i == 2 ? "7" : "6", NULL);
        toy_step(&toy, "toySink", NULL);
        assert_int_equal(toy_plan(&toy, true), MR_OK);
        memcpy(seen[i], toy.plan->fingerprint, 17);
        toy_reset(&toy);
    }
    assert_string_equal(seen[0], seen[1]);
    assert_string_not_equal(seen[0], seen[2]);
}

static void test_preview(void **state)
{
    (void)state;
    static const char *const until[] = {"1", "2", "mine", "4"};
    static const int result[] = {0, 1, 2, 2};
    for (int i = 0; i < 4; i++) {
        struct toy toy;
        start(&toy);
        toy_step(&toy, "toySource", "splits", "4", "readers", "4", NULL);
        toy_step(&toy, "toyPass", NULL);
        toy_step(&toy, "toyPass", "name", "mine", NULL);
        toy_step(&toy, "toySink", NULL);
        struct mr_plan_request request = {
            .spec = &toy.spec,
            .arena = &toy.arena,
            .runtime = &toy.runtime,
            .tz = toy.tz,
            .connect = true,
            .with_splits = true,
            .until_step = until[i],
            .rows_wanted = 20,
        };
        assert_int_equal(mr_plan_build(&request, &toy.plan, NULL, &toy.err), MR_OK);
        assert_int_equal(toy.plan->result, result[i]);
        assert_int_equal(toy.plan->nsinks, 0);
        assert_int_equal(toy.plan->nsegments, 1);
        assert_int_equal(toy.plan->segments[0].readers, 1);
        assert_int_equal(toy.limit_offered, 20);
        assert_int_equal(toy_run(&toy), MR_OK);
        toy_reset(&toy);
    }
}

static void test_thousand_steps(void **state)
{
    (void)state;
    struct toy toy;
    start(&toy);
    struct mr_step_spec *steps = mr_calloc(1000, sizeof *steps);
    toy_step(&toy, "toySource", NULL);
    toy_step(&toy, "toyPass", "condition", "id > 1", NULL);
    toy_step(&toy, "toySink", NULL);
    for (int i = 0; i < 1000; i++) {
        steps[i] = toy.steps[i == 0 ? 0 : i % 10 == 0 ? 2 : 1];
        steps[i].index = i;
    }
    toy.spec.steps = steps;
    toy.spec.nsteps = 1000;
    /* The sink of the toys has four targets only: plan, do not run. */
    struct mr_plan_request request = {.spec = &toy.spec,
                                      .arena = &toy.arena,
                                      .runtime = &toy.runtime,
                                      .tz = toy.tz};
    assert_int_equal(mr_plan_build(&request, &toy.plan, NULL, &toy.err), MR_OK);
    assert_int_equal(toy.plan->nnodes, 901);
    mr_plan_free(toy.plan);
    toy.plan = NULL;
    mr_free(steps);
    toy_reset(&toy);
}

/* A filter behind a breaker and a build side: what may cross reaches the source, the rest stays. */
static void test_filters_cross(void **state)
{
    (void)state;
    struct toy toy;
    start(&toy);
    toy.answer = MR_PUSH_EXACT;
    toy_step(&toy, "toySource", "as", "b", NULL);
    toy_step(&toy, "toySource", NULL);
    toy_step(&toy, "toyPass", NULL);
    toy_step(&toy, "toyGroup", NULL);
    toy_step(&toy, "toyOne", "ref", "b", NULL);
    toy_step(&toy, "toyPass", NULL);
    toy_step(&toy, "toyFilter", "condition", "v >= 3 AND id > 5 AND v % 2 = 0", NULL);
    toy_step(&toy, "toySink", NULL);
    assert_int_equal(toy_plan(&toy, true), MR_OK);
    const struct mr_plan *plan = toy.plan;
    assert_int_equal(plan->nodes[1].npushed, 1);
    assert_string_equal(plan->nodes[1].pushed[0], "v >= 3");
    assert_int_equal(plan->nodes[0].npushed, 0);
    int kept = 0;
    for (int i = 0; i < plan->nnodes; i++) {
        const struct mr_plan_node *node = &plan->nodes[i];
        assert_int_equal(node->id, i);
        if (node->kind != MR_PLAN_OP || node->op_info.condition == NULL || node->absorbed)
            continue;
        assert_string_equal(node->step->label, "step 7 (toyFilter)");
        const struct mr_plan_node *from = &plan->nodes[node->inputs[0].node];
        if (kept++ == 0) {
            assert_string_equal(node->op_info.details, "id > 5");
            assert_string_equal(node->label, "step 7 (toyFilter), before step 5 (toyOne)");
            assert_string_equal(from->label, "step 4 (toyGroup)");
        } else {
            assert_string_equal(node->op_info.details, "v % 2 = 0");
            assert_string_equal(node->moved_to, "step 5 (toyOne)");
            assert_string_equal(from->label, "step 6 (toyPass)");
        }
    }
    assert_int_equal(kept, 2);
    assert_int_equal(toy_run(&toy), MR_OK);
    toy_reset(&toy);
}

/* A frame with another consumer keeps its rows. */
static void test_filters_stay(void **state)
{
    (void)state;
    struct toy toy;
    start(&toy);
    toy.answer = MR_PUSH_EXACT;
    toy_step(&toy, "toySource", NULL);
    toy_step(&toy, "toyGroup", "as", "g", NULL);
    toy_step(&toy, "toyFilter", "condition", "v >= 3", NULL);
    toy_step(&toy, "toySink", NULL);
    toy_step(&toy, "toyPass", "from", "g", NULL);
    toy_step(&toy, "toySink", NULL);
    assert_int_equal(toy_plan(&toy, true), MR_OK);
    assert_int_equal(toy.plan->nodes[0].npushed, 0);
    assert_string_equal(toy.plan->nodes[2].op_info.details, "v >= 3");
    toy_reset(&toy);
}

/* Only the columns that a build side reads are read for it. */
static void test_columns_of_inputs(void **state)
{
    (void)state;
    struct toy toy;
    start(&toy);
    toy.narrow = true;
    toy_step(&toy, "toySource", "as", "b", NULL);
    toy_step(&toy, "toySource", NULL);
    toy_step(&toy, "toyOne", "ref", "b", NULL);
    toy_step(&toy, "toySink", NULL);
    assert_int_equal(toy_plan(&toy, true), MR_OK);
    assert_int_equal(toy.plan->nodes[0].schema->nfields, 1);
    assert_int_equal(toy.plan->nodes[1].schema->nfields, 2);
    assert_int_equal(toy.nwanted, -1);
    assert_int_equal(toy_run(&toy), MR_OK);
    toy_reset(&toy);
    start(&toy);
    toy_step(&toy, "toySource", "as", "b", NULL);
    toy_step(&toy, "toySource", NULL);
    toy_step(&toy, "toyOne", "ref", "b", NULL);
    toy_step(&toy, "toySelect", NULL);
    toy_step(&toy, "toySink", NULL);
    assert_int_equal(toy_plan(&toy, true), MR_OK);
    assert_int_equal(toy.nwanted, 1);
    toy_reset(&toy);
}

static void expect_part(const struct toy *toy, int node, const char *label, bool inner, int from)
{
    const struct mr_plan_node *at = &toy->plan->nodes[node];
    assert_string_equal(at->label, label);
    assert_int_equal(at->id, node);
    assert_true(at->is_part);
    assert_int_equal(at->is_inner, inner);
    assert_int_equal(at->inputs[0].node, from);
}

static void test_parts(void **state)
{
    (void)state;
    struct toy toy;
    start(&toy);
    toy_step(&toy, "toySource", "splits", "2", "as", "a", NULL);
    toy_step(&toy, "toySource", "splits", "3", "as", "b", NULL);
    toy_step(&toy, "toyParts", "tables", "a,b", "pulls", "5", "as", "c", NULL);
    toy_step(&toy, "toySink", NULL);
    toy_step(&toy, "toyUnion", "from", "c,a", NULL);
    toy_step(&toy, "toySink", NULL);
    assert_int_equal(toy_plan(&toy, true), MR_OK);
    const struct mr_plan *plan = toy.plan;
    assert_int_equal(plan->nnodes, 9);
    expect_part(&toy, 2, "step 3 (toyParts): toyUnion", true, 0);
    assert_int_equal(plan->nodes[2].ninputs, 2);
    assert_int_equal(plan->nodes[2].inputs[1].node, 1);
    expect_part(&toy, 3, "step 3 (toyParts): toyPass", true, 2);
    expect_part(&toy, 4, "step 3 (toyParts): toyGroup GROUP BY", true, 3);
    assert_int_equal(plan->nodes[4].op_info.pulls, 5);
    expect_part(&toy, 5, "step 3 (toyParts): toyParts", false, 4);
    assert_int_equal(plan->nodes[6].inputs[0].node, 5);
    assert_int_equal(plan->nodes[7].inputs[0].node, 5);
    assert_int_equal(plan->nodes[7].inputs[1].node, 0);
    assert_int_equal(plan->sinks[1], 8);
    assert_ptr_equal(plan->nodes[4].step, plan->nodes[5].step);
    assert_ptr_not_equal(plan->nodes[4].runtime->memory, plan->nodes[5].runtime->memory);
    assert_int_equal(toy_run(&toy), MR_OK);
    assert_int_equal(toy_count(&toy, 0), 10);
    assert_int_equal(toy_count(&toy, 1), 31);
    toy_reset(&toy);
}

static void test_parts_of_parts(void **state)
{
    (void)state;
    struct toy toy;
    start(&toy);
    toy_step(&toy, "toySource", "splits", "2", NULL);
    toy_step(&toy, "toyNest", NULL);
    toy_step(&toy, "toySink", NULL);
    assert_int_equal(toy_plan(&toy, true), MR_OK);
    expect_part(&toy, 1, "step 2 (toyNest): toyParts inner, toyUnion", true, 0);
    expect_part(&toy, 4, "step 2 (toyNest): toyParts inner, toyParts", true, 3);
    expect_part(&toy, 5, "step 2 (toyNest): toyUnion", false, 4);
    assert_int_equal(toy.plan->nodes[5].inputs[1].node, 0);
    assert_int_equal(toy_run(&toy), MR_OK);
    assert_int_equal(toy_count(&toy, 0), 31);
    toy_reset(&toy);
    start(&toy);
    toy_step(&toy, "toySource", "splits", "2", NULL);
    toy_step(&toy, "toyParts", "wrong", "true", NULL);
    toy_step(&toy, "toySink", NULL);
    expect_error(&toy, "step 2 (toyParts): toyPass: no column \"nope\"", "toy.json:2:3");
    start(&toy);
    toy_step(&toy, "toySource", "as", "a", NULL);
    toy_step(&toy, "toyParts", "tables", "a,c", NULL);
    expect_error(&toy, "no earlier step registers a frame \"c\"", "toy.json:2:3");
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_frame_errors),
        cmocka_unit_test(test_several_errors),
        cmocka_unit_test(test_offline),
        cmocka_unit_test(test_filter_is_pushed),
        cmocka_unit_test(test_filters_cross),
        cmocka_unit_test(test_filters_stay),
        cmocka_unit_test(test_columns_of_inputs),
        cmocka_unit_test(test_parts),
        cmocka_unit_test(test_parts_of_parts),
        cmocka_unit_test(test_whole_filter_is_absorbed),
        cmocka_unit_test(test_shared_frame_is_not_filtered),
        cmocka_unit_test(test_split_conjuncts),
        cmocka_unit_test(test_explain),
        cmocka_unit_test(test_fingerprint),
        cmocka_unit_test(test_preview),
        cmocka_unit_test(test_thousand_steps),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
