/*
 * aggregateData epoch after epoch, as run/ does it by hand: seeded rows whose disorder the delay bounds, divided into epochs of
 * any size (also of none). Whatever comes out over all epochs must be what one batch over all rows gives: with what is kept in
 * memory or aside, saved as changes or whole, restored by another object in between. Then late rows and what is refused.
 */
#include "saved.h"

#include "ext/event_clock.h"
#include "op/ops.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#define ROWS   900
#define SECOND ((int64_t)1000000)
#define DELAY  (30 * SECOND)
#define FAR    (INT64_C(4000000000) * SECOND)
#define EPOCHS 24

struct random {
    uint64_t state;
};
static uint32_t next(struct random *random, uint32_t below)
{
    random->state = random->state * 6364136223846793005u + 1442695040888963407u;
    return (uint32_t)(random->state >> 33) % below;
}

/* Lines of text. */
struct lines {
    char *items[20000];
    int count;
};

static void take_lines(struct drive *drive, struct lines *lines)
{
    struct mr_bytes text;
    mr_bytes_init(&text, 64 << 20);
    drive_text(drive, &text);
    mr_bytes_char(&text, '\0');
    assert_int_equal(mr_bytes_status(&text, &drive->err), MR_OK);
    for (char *at = text.data; *at;) {
        size_t n = strcspn(at, ";");
        assert_true(lines->count < 20000);
        lines->items[lines->count++] = strndup(at, n);
        at += n + (at[n] != '\0');
    }
    mr_bytes_reset(&text);
}

static void lines_reset(struct lines *lines)
{
    for (int i = 0; i < lines->count; i++)
        free(lines->items[i]);
    lines->count = 0;
}

static int compare_lines(const void *a, const void *b)
{
    return strcmp(*(char *const *)a, *(char *const *)b);
}

/* Of lines with the same first `keys` fields the last counts. */
static void keep_last(struct lines *lines, int keys)
{
    int n = 0;
    for (int i = 0; i < lines->count; i++) {
        bool later = false;
        size_t size = 0;
        for (int k = 0; k < keys; k++)
            size += strcspn(lines->items[i] + size, ",") + 1;
        for (int j = i + 1; j < lines->count && !later; j++)
            later = strncmp(lines->items[i], lines->items[j], size) == 0;
        if (later)
            free(lines->items[i]);
        else
            lines->items[n++] = lines->items[i];
    }
    lines->count = n;
}

static void compare(struct lines *got, struct lines *wanted, const char *what, int seed)
{
    qsort(got->items, (size_t)got->count, sizeof(char *), compare_lines);
    qsort(wanted->items, (size_t)wanted->count, sizeof(char *), compare_lines);
    for (int i = 0; i < got->count && i < wanted->count; i++)
        if (strcmp(got->items[i], wanted->items[i]) != 0)
            fail_msg("%s, seed %d: row %d is\n  %s\nnot\n  %s", what, seed, i, got->items[i],
                     wanted->items[i]);
    if (got->count != wanted->count)
        fail_msg("%s, seed %d: %d rows, not %d", what, seed, got->count, wanted->count);
}

struct stream_case {
    const char *name;
    const char *window; /* type, or NULL */
    const char *emit;
    enum mr_output_mode mode;
    bool keyed;
};

struct fixture {
    struct drive drive;
    const struct mr_schema *schema;
    const struct stream_case *test;
    struct mr_event_clock *clock;
    struct mr_event_clock *clocks[1];
};

static const struct mr_options *make_options(struct fixture *fixture)
{
    struct mr_arena *arena = &fixture->drive.arena;
    const struct stream_case *test = fixture->test;
    struct mr_error *err = &fixture->drive.err;
    struct mr_options *options = mr_options_new(arena, mr_op_aggregate_data.options);
    static const char *const keys[] = {"k", "k % 3 AS third"};
    static const char *const pairs[][2] = {
        {"n", "count(*)"},
        {"total", "sum(v)"},
        {"mean", "avg(v) + 1"},
        {"least", "min(v)"},
        {"most", "max(CAST(v AS STRING))"},
        {"kinds", "count(DISTINCT v % 7)"},
        {"some", "count(*) FILTER (WHERE v > 50)"},
    };
    static const char *const more[][2] = {{"one", "first(v)"}, {"other", "last(v) IGNORE NULLS"}};
    static const char *const dear[][2] = {{"middle", "median(v)"}};
    assert_non_null(options);
    if (test->keyed)
        assert_int_equal(mr_options_set_list(arena, options, "groupBy", keys, 2, err), MR_OK);
    for (size_t i = 0; i < sizeof pairs / sizeof pairs[0]; i++)
        assert_int_equal(mr_options_add_pair(arena, options, "aggregations", pairs[i][0],
                                             pairs[i][1], err),
                         MR_OK);
    bool session = test->window && strcmp(test->window, "session") == 0;
    bool changes = strcmp(test->emit, "changes") == 0;
    for (int i = 0; i < 2 && (!session || changes); i++)
        assert_int_equal(mr_options_add_pair(arena, options, "aggregations", more[i][0], more[i][1],
                                             err),
                         MR_OK);
    if (!changes)
        assert_int_equal(mr_options_add_pair(arena, options, "aggregations", dear[0][0], dear[0][1],
                                             err),
                         MR_OK);
    assert_int_equal(mr_options_set_text(arena, options, "emit", test->emit, err), MR_OK);
    if (test->window) {
        const struct mr_option *fields =
            mr_option_find(mr_op_aggregate_data.options, "window")->fields;
        const char *texts[] = {"column",
                               "timestamp_micros(t)",
                               "type",
                               test->window,
                               session ? "gap" : "size",
                               session ? "9 seconds" : "20 seconds",
                               strcmp(test->window, "sliding") ? NULL : "slide",
                               "7 seconds",
                               NULL};
        const struct mr_options *window;
        assert_int_equal(mr_options_from_texts(arena, fields, texts, &window, err), MR_OK);
        assert_int_equal(mr_options_add_object(arena, options, "window", window, err), MR_OK);
    }
    return options;
}

static void bind(struct fixture *fixture, bool stream)
{
    struct drive *drive = &fixture->drive;
    drive->stream = stream;
    drive->output_mode = stream ? fixture->test->mode : MR_OUTPUT_APPEND;
    if (drive_bind_options(drive, &mr_op_aggregate_data, fixture->schema, 1000000,
                           make_options(fixture)) != MR_OK)
        fail_msg("%s", drive->err.message);
}

/* Rows as text; the latest time among them. */
static char *rows_text(const int64_t (*rows)[3], int from, int to, int64_t *latest)
{
    char *text = calloc((size_t)(to - from) * 64 + 1, 1), *at = text;
    *latest = MR_WATERMARK_NONE;
    for (int i = from; i < to; i++) {
        at += sprintf(at, "%lld,%lld,", (long long)rows[i][0], (long long)rows[i][1]);
        at += rows[i][2] < 0 ? sprintf(at, "NULL;") : sprintf(at, "%lld;", (long long)rows[i][2]);
        *latest = rows[i][1] > *latest ? rows[i][1] : *latest;
    }
    if (at > text)
        at[-1] = '\0';
    return text;
}

/* Rows [from, to) in some batches. */
static int make_batches(struct fixture *fixture, const int64_t (*rows)[3], int from, int to,
                        struct mr_batch **out)
{
    int n = 0;
    for (int at = from; at < to; at += 60, n++) {
        int64_t latest;
        char *text = rows_text(rows, at, at + 60 < to ? at + 60 : to, &latest);
        out[n] = drive_rows(&fixture->drive, fixture->schema, text);
        if (fixture->clock)
            assert_int_equal(mr_event_clock_seen(fixture->clock, "p", latest, &fixture->drive.err),
                             MR_OK);
        free(text);
    }
    return n;
}

static void run(struct fixture *fixture, const int64_t (*rows)[3], int from, int to, int ntasks,
                int64_t share, struct lines *lines)
{
    struct mr_batch *batches[64];
    int n = make_batches(fixture, rows, from, to, batches);
    if (drive_run(&fixture->drive, batches, n, ntasks, share) != MR_OK)
        fail_msg("%s: %s", fixture->test->name, fixture->drive.err.message);
    take_lines(&fixture->drive, lines);
    drive_free_data(batches, n);
}

static void make_rows(struct random *random, int64_t (*rows)[3])
{
    int64_t now = INT64_C(1700000000) * SECOND;
    for (int i = 0; i < ROWS - 1; i++) {
        now += (int64_t)next(random, 1500000);
        rows[i][0] = next(random, 12);
        rows[i][1] = now - (int64_t)next(random, (uint32_t)DELAY + 1);
        rows[i][2] = next(random, 9) ? (int64_t)next(random, 100) : -1;
    }
    /* Closes all others. */
    rows[ROWS - 1][0] = 99;
    rows[ROWS - 1][1] = FAR;
    rows[ROWS - 1][2] = 1;
}

static void play(struct fixture *fixture, const int64_t (*rows)[3], struct random *random,
                 int64_t share, struct lines *lines)
{
    struct mr_error *err = &fixture->drive.err;
    struct saved saved;
    int at = 0;
    bind(fixture, true);
    fixture->drive.runtime.share = share;
    assert_int_equal(mr_event_clock_new(DELAY, 0, &fixture->clock, err), MR_OK);
    fixture->clocks[0] = fixture->clock;
    fixture->drive.runtime.clocks = fixture->test->window ? fixture->clocks : NULL;
    saved_open(&saved, &fixture->drive, &mr_op_aggregate_data);
    for (int e = 0; e < EPOCHS; e++) {
        int to = e == EPOCHS - 1 ? ROWS : e == EPOCHS - 2 ? ROWS - 1 : at;
        if (e < EPOCHS - 2 && next(random, 5))
            to = at + (int)next(random, 80);
        to = e < EPOCHS - 2 && to > ROWS - 1 ? ROWS - 1 : to;
        bind(fixture, true);
        mr_event_clock_begin(fixture->clock, 1 + e, NULL, 0, err);
        if (fixture->test->mode == MR_OUTPUT_COMPLETE)
            lines_reset(lines);
        run(fixture, rows, at, to, 1 + (int)next(random, 3), share, lines);
        at = to;
        saved_save(&saved, next(random, 4) == 0);
        if (next(random, 3) == 0)
            saved_reopen(&saved);
    }
    saved_close(&saved);
    fixture->drive.runtime.clocks = NULL;
    mr_event_clock_free(fixture->clock);
    fixture->clock = NULL;
    drive_forget(&fixture->drive);
}

/* Windows of the far row never close; sessions and changes of it come out in batch. */
static void drop_far(struct lines *lines)
{
    int n = 0;
    for (int i = 0; i < lines->count; i++) {
        if (strstr(lines->items[i], "2096-"))
            free(lines->items[i]);
        else
            lines->items[n++] = lines->items[i];
    }
    lines->count = n;
}

static const struct stream_case stream_cases[] = {
    {"tumbling final", "tumbling", "final", MR_OUTPUT_APPEND, true},
    {"tumbling final, no keys", "tumbling", "final", MR_OUTPUT_APPEND, false},
    {"sliding final", "sliding", "final", MR_OUTPUT_APPEND, true},
    {"session final", "session", "final", MR_OUTPUT_APPEND, true},
    {"session final, no keys", "session", "final", MR_OUTPUT_APPEND, false},
    {"tumbling update", "tumbling", "final", MR_OUTPUT_UPDATE, true},
    {"sliding update", "sliding", "final", MR_OUTPUT_UPDATE, true},
    {"update", NULL, "final", MR_OUTPUT_UPDATE, true},
    {"update, no keys", NULL, "final", MR_OUTPUT_UPDATE, false},
    {"complete", NULL, "final", MR_OUTPUT_COMPLETE, true},
    {"complete, no keys", NULL, "final", MR_OUTPUT_COMPLETE, false},
    {"tumbling complete", "tumbling", "final", MR_OUTPUT_COMPLETE, true},
    {"changes", NULL, "changes", MR_OUTPUT_APPEND, true},
    {"changes, no keys", NULL, "changes", MR_OUTPUT_APPEND, false},
    {"tumbling changes", "tumbling", "changes", MR_OUTPUT_APPEND, true},
    {"sliding changes", "sliding", "changes", MR_OUTPUT_APPEND, true},
    {"session changes", "session", "changes", MR_OUTPUT_APPEND, true},
    {"session changes, no keys", "session", "changes", MR_OUTPUT_APPEND, false},
};

static void test_epochs(void **state)
{
    static struct fixture fixture;
    static struct lines got, wanted, aside, again;
    static int64_t rows[ROWS][3];
    const char *longer = getenv("MILLRACE_LONG");
    int seeds = longer && *longer ? 40 : 3;
    (void)state;
    for (size_t c = 0; c < sizeof stream_cases / sizeof stream_cases[0]; c++) {
        for (int seed = 0; seed < seeds; seed++) {
            struct random random = {.state = (uint64_t)seed * 977 + c};
            struct drive *drive = &fixture.drive;
            static const struct mr_field fields[] = {{.name = "k"},
                                                     {.name = "t"},
                                                     {.name = "v", .nullable = true}};
            struct mr_field typed[3];
            drive_init(drive);
            for (int f = 0; f < 3; f++) {
                typed[f] = fields[f];
                typed[f].type = mr_type_of(MR_TYPE_INT64);
            }
            fixture.schema = mr_schema_new(&drive->arena, typed, 3);
            fixture.test = &stream_cases[c];
            make_rows(&random, rows);
            play(&fixture, rows, &random, seed % 2 ? 1 : INT64_MAX / 4, &got);
            bind(&fixture, false);
            run(&fixture, rows, 0, ROWS, 2, INT64_MAX / 4, &wanted);
            if (seed == 0) { /* in batch, little memory makes no difference */
                run(&fixture, rows, 0, ROWS, 3, 1, &aside);
                run(&fixture, rows, 0, ROWS, 2, INT64_MAX / 4, &again);
                compare(&aside, &again, fixture.test->name, -1);
            }
            lines_reset(&aside);
            lines_reset(&again);
            if (fixture.test->mode == MR_OUTPUT_UPDATE)
                keep_last(&got, (fixture.test->keyed ? 2 : 0) + (fixture.test->window ? 1 : 0));
            if (fixture.test->window) {
                drop_far(&got);
                drop_far(&wanted);
            }
            compare(&got, &wanted, fixture.test->name, seed);
            lines_reset(&got);
            lines_reset(&wanted);
            drive_reset(drive);
        }
    }
}

/* Bound as a stream (mode) or in batch: the message. */
static void refused(enum mr_output_mode mode, bool stream, const char *const *pairs,
                    const char *wanted)
{
    struct drive drive;
    struct mr_field fields[] = {{.name = "k", .type = mr_type_of(MR_TYPE_INT64)},
                                {.name = "v", .type = mr_type_of(MR_TYPE_INT64)}};
    drive_init(&drive);
    drive.stream = stream;
    drive.output_mode = mode;
    const struct mr_schema *schema = mr_schema_new(&drive.arena, fields, 2);
    assert_int_equal(drive_bind(&drive, &mr_op_aggregate_data, schema, 10, pairs), MR_CONFIG);
    if (!strstr(drive.err.message, wanted))
        fail_msg("\"%s\", not \"%s\"", drive.err.message, wanted);
    drive_reset(&drive);
}

static void test_refused(void **state)
{
    (void)state;
    static const char *const lists[] = {"aggregations", "x=collect_list(v)", "emit", "changes",
                                        NULL};
    static const char *const plain[] = {"groupBy", "k", "aggregations", "v=sum", NULL};
    refused(MR_OUTPUT_APPEND, false, lists, "collect_list has no running results");
    refused(MR_OUTPUT_APPEND, true, plain, "this one has no window");
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_epochs),
        cmocka_unit_test(test_refused),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
