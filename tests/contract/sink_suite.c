/*
 * sink_suite.c - the contract of ext/sink.h, on the files sink and on the toy sink.
 *
 * A sink is driven as the engine drives it: writers of several tasks, prepare, a token that is kept, commit. "In a fresh
 * process" is meant: the program runs itself again with the token in a file. What readers of the target see is looked at
 * through the store: visible objects, minus the toy's own books.
 */
#ifndef _GNU_SOURCE
#define _GNU_SOURCE
#endif
#include "connect/files/files.h"
#include "contract/fixture.h"
#include "contract/registered.h"
#include "contract/toy_sink.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cmocka.h>

#define SCHEMA    "id INT, g STRING"
#define MAX_TASKS 4

/* A sink under test and the options that make it write JSON lines below path "out". */
struct subject {
    const struct mr_sink *sink;
    const char *pairs[8];
};

static const struct subject subjects[] = {
    {&mr_sink_files, {"path", "out", "format", "json", NULL}},
    {&mr_sink_files, {"path", "out", "format", "json", "partitionBy", "g", NULL}},
    {&toy_sink, {"path", "out", NULL}},
};

static struct fixture f;
static const struct subject *subject;
static const struct mr_options *options;

static void make_options(struct fixture *fixture, const struct subject *of,
                         const struct mr_options **out)
{
    const char *pairs[8];
    memcpy(pairs, of->pairs, sizeof pairs);
    pairs[1] = mr_arena_printf(&fixture->arena, "%s/out", fixture->directory);
    FIXTURE_OK(fixture, mr_options_from_texts(&fixture->arena, of->sink->options, pairs, out,
                                              &fixture->err));
}

static int setup(void **state)
{
    (void)state;
    fixture_init(&f, 0);
    f.registry = *contract_registry();
    make_options(&f, subject, &options);
    return 0;
}

static int teardown(void **state)
{
    (void)state;
    return fixture_reset(&f);
}

/* ---- driving ---- */

struct bound {
    void *state;
    struct mr_sink_info info;
};

static struct bound bind_sink(void)
{
    struct bound bound;
    struct mr_sink_bind request = {
        .options = options,
        .runtime = &f.runtime,
        .arena = &f.arena,
        .schema = fixture_schema(&f, SCHEMA),
        .rows = -1,
        .bytes = -1,
        .step = "step 2 (sink)",
    };
    FIXTURE_OK(&f, subject->sink->bind(&request, &bound.state, &bound.info, &f.err));
    return bound;
}

static void write_rows(void *writer, const char *const *rows)
{
    struct mr_batch *batch = fixture_batch(&f, SCHEMA, rows);
    FIXTURE_OK(&f, subject->sink->write(writer, batch, &f.err));
    mr_batch_unref(batch);
}

/* Two tasks of one row each, "<prefix>0|a" and "<prefix>1|b"; the token, on the heap of the arena. */
static struct mr_slice stage(int lane, int64_t number, const char *prefix, const char *positions)
{
    const struct mr_sink *sink = subject->sink;
    struct bound bound = bind_sink();
    struct mr_epoch epoch = {lane, number, mr_slice_of(positions)};
    struct mr_bytes committables[2], token;
    struct mr_slice slices[2];
    for (int task = 0; task < 2; task++) {
        void *writer;
        const char *row = mr_arena_printf(&f.arena, "%s%d|%s", prefix, task, task ? "b" : "a");
        const char *const rows[] = {row, NULL};
        mr_bytes_init(&committables[task], 1 << 20);
        FIXTURE_OK(&f, sink->writer_open(bound.state, &f.runtime, &epoch, task, &writer, &f.err));
        write_rows(writer, rows);
        FIXTURE_OK(&f, sink->relieve(writer, 1, &f.err));
        FIXTURE_OK(&f, sink->writer_finish(writer, &committables[task], &f.err));
        sink->writer_close(writer);
        slices[task] = (struct mr_slice){committables[task].data, committables[task].size};
    }
    mr_bytes_init(&token, 1 << 20);
    FIXTURE_OK(&f, sink->prepare(bound.state, &f.runtime, &epoch, slices, 2, &token, &f.err));
    sink->close(bound.state);
    char *copy = mr_arena_alloc(&f.arena, token.size);
    memcpy(copy, token.data, token.size);
    struct mr_slice result = {copy, token.size};
    mr_bytes_reset(&token);
    mr_bytes_reset(&committables[0]);
    mr_bytes_reset(&committables[1]);
    return result;
}

static void commit(struct mr_slice token)
{
    FIXTURE_OK(&f, subject->sink->commit(options, &f.runtime, token, &f.err));
}

/* ---- looking ---- */

/* The ids in the visible files, sorted: "10 11". `all` true: hidden files count too. */
static int compare_ints(const void *a, const void *b)
{
    return *(const int *)a - *(const int *)b;
}

static const char *ids(bool all)
{
    char *root = mr_arena_printf(&f.arena, "%s/out", f.directory);
    char *tree = fixture_tree(&f, root);
    int found[64], count = 0;
    for (char *line = strtok(tree, "\n"); line; line = strtok(NULL, "\n")) {
        char *name = strrchr(line, '/');
        name = name ? name + 1 : line;
        if ((*name == '.' && !all) || strncmp(name, "lane-", 5) == 0)
            continue;
        const char *text = fixture_read(&f, mr_arena_printf(&f.arena, "%s/%s", root, line), NULL);
        while ((text = strstr(text, "\"id\":")) != NULL) {
            text += 5;
            found[count++] = atoi(text);
        }
    }
    qsort(found, (size_t)count, sizeof found[0], compare_ints);
    char *out = mr_arena_alloc(&f.arena, 64 * 12);
    *out = '\0';
    for (int i = 0; i < count; i++)
        sprintf(out + strlen(out), "%s%d", i ? " " : "", found[i]);
    return out;
}

/* Runs this program again: "commit" or "abort" of a token, in the same directory. */
static int fresh_process(const char *verb, struct mr_slice token)
{
    char number[8];
    char *path = mr_arena_printf(&f.arena, "%s/token", f.directory);
    FILE *file = fopen(path, "wb");
    fwrite(token.data, 1, token.size, file);
    fclose(file);
    snprintf(number, sizeof number, "%d", (int)(subject - subjects));
    pid_t child = fork();
    if (child == 0) {
        execl("/proc/self/exe", "sink_suite", verb, number, f.directory, path, (char *)NULL);
        _exit(127);
    }
    int status;
    waitpid(child, &status, 0);
    remove(path);
    return WIFEXITED(status) ? WEXITSTATUS(status) : -1;
}

static int in_fresh_process(char **arguments)
{
    struct fixture fresh;
    const struct mr_options *own;
    size_t size;
    char private[256];
    subject = &subjects[atoi(arguments[2])];
    fixture_init(&fresh, 0);
    fresh.registry = *contract_registry();
    memcpy(private, fresh.directory, sizeof private);
    snprintf(fresh.directory, sizeof fresh.directory, "%s", arguments[3]);
    make_options(&fresh, subject, &own);
    char *data = fixture_read(&fresh, arguments[4], &size);
    struct mr_slice token = {data, size};
    enum mr_status status = strcmp(arguments[1], "commit") == 0
                                ? subject->sink->commit(own, &fresh.runtime, token, &fresh.err)
                                : subject->sink->abort(own, &fresh.runtime, token, &fresh.err);
    memcpy(fresh.directory, private, sizeof private);
    return fixture_reset(&fresh) ? 99 : (int)status;
}

/* ---- the tests ---- */

static void test_two_phases(void **state)
{
    (void)state;
    struct mr_slice token = stage(0, 1, "1", "p1");
    assert_string_equal(ids(false), "");
    commit(token);
    assert_string_equal(ids(false), "10 11");
    commit(token);
    assert_string_equal(ids(true), "10 11");
}

static void test_fresh_process(void **state)
{
    (void)state;
    struct mr_slice token = stage(0, 1, "1", "p1");
    assert_int_equal(fresh_process("commit", token), MR_OK);
    assert_string_equal(ids(true), "10 11");
    assert_int_equal(fresh_process("commit", token), MR_OK);
    assert_string_equal(ids(true), "10 11");
}

static void test_abort(void **state)
{
    (void)state;
    commit(stage(0, 1, "1", "p1"));
    struct mr_slice token = stage(0, 2, "2", "p2");
    for (int i = 0; i < 2; i++)
        FIXTURE_OK(&f, subject->sink->abort(options, &f.runtime, token, &f.err));
    assert_string_equal(ids(true), "10 11");
    token = stage(0, 2, "3", "p2");
    assert_int_equal(fresh_process("abort", token), MR_OK);
    assert_string_equal(ids(true), "10 11");
}

/* A run died: nobody has its token, and one of its writers never ended. */
static void test_abort_without_token(void **state)
{
    (void)state;
    struct bound bound = bind_sink();
    struct mr_epoch epoch = {0, 2, {"", 0}};
    const char *const rows[] = {"77|c", NULL};
    void *writer;
    commit(stage(0, 1, "1", "p1"));
    stage(0, 2, "2", "p2");
    FIXTURE_OK(&f, subject->sink->writer_open(bound.state, &f.runtime, &epoch, 5, &writer, &f.err));
    write_rows(writer, rows);
    FIXTURE_OK(&f, subject->sink->relieve(writer, INT64_MAX, &f.err));
    assert_int_equal(fresh_process("abort", (struct mr_slice){"", 0}), MR_OK);
    subject->sink->writer_close(writer);
    subject->sink->close(bound.state);
    assert_string_equal(ids(true), "10 11");
    /* And the same epoch can be written again. */
    commit(stage(0, 2, "3", "p2"));
    assert_string_equal(ids(true), "10 11 30 31");
}

static void test_writer_without_finish(void **state)
{
    (void)state;
    struct bound bound = bind_sink();
    struct mr_epoch epoch = {0, 1, {"", 0}};
    const char *const rows[] = {"1|a", "2|b", NULL};
    void *writer;
    FIXTURE_OK(&f, subject->sink->writer_open(bound.state, &f.runtime, &epoch, 0, &writer, &f.err));
    write_rows(writer, rows);
    subject->sink->writer_close(writer);
    subject->sink->close(bound.state);
    assert_string_equal(ids(true), "");
}

static void test_no_rows(void **state)
{
    (void)state;
    struct bound bound = bind_sink();
    struct mr_epoch epoch = {0, 1, {"", 0}};
    struct mr_bytes token;
    mr_bytes_init(&token, 1 << 16);
    FIXTURE_OK(&f,
               subject->sink->prepare(bound.state, &f.runtime, &epoch, NULL, 0, &token, &f.err));
    commit((struct mr_slice){token.data, token.size});
    commit((struct mr_slice){token.data, token.size});
    assert_string_equal(ids(true), "");
    mr_bytes_reset(&token);
    subject->sink->close(bound.state);
}

static void test_lanes_and_epochs(void **state)
{
    (void)state;
    struct mr_slice second = stage(1, 1, "2", "q1");
    struct mr_slice first = stage(0, 1, "1", "p1");
    commit(first);
    commit(second);
    commit(stage(0, 2, "3", "p2"));
    /* Again, late: done, or a later epoch is there and it says so; it changes nothing either way. */
    if (subject->sink->commit(options, &f.runtime, first, &f.err) != MR_OK)
        assert_int_equal(f.err.cls, MR_CLASS_SUPERSEDED);
    assert_string_equal(ids(true), "10 11 20 21 30 31");
}

static void recover(int lane, struct mr_recovered *known)
{
    mr_bytes_clear(&known->positions);
    mr_bytes_clear(&known->unfinished);
    known->load = 0;
    FIXTURE_OK(&f, subject->sink->recover(options, &f.runtime, lane, known, &f.err));
}

static void test_recover(void **state)
{
    (void)state;
    struct mr_recovered known = {.epoch = -1};
    mr_bytes_init(&known.positions, 1 << 16);
    mr_bytes_init(&known.unfinished, 1 << 16);
    recover(0, &known);
    assert_int_equal(known.epoch, 0);
    struct mr_slice third = stage(0, 3, "1", "position three");
    recover(0, &known);
    assert_int_equal(known.epoch, 0);
    commit(third);
    recover(0, &known);
    assert_int_equal(known.epoch, 3);
    assert_int_equal(known.load, 0);
    assert_int_equal(known.unfinished.size, 0);
    mr_bytes_char(&known.positions, '\0');
    assert_string_equal(known.positions.data, "position three");
    recover(1, &known);
    assert_int_equal(known.epoch, 0);
    mr_bytes_reset(&known.positions);
    mr_bytes_reset(&known.unfinished);
}

static void test_damaged_token(void **state)
{
    (void)state;
    struct mr_slice token = stage(0, 1, "1", "p1");
    for (size_t size = 1; size < token.size; size++) {
        struct mr_slice cut = {token.data, size};
        if (subject->sink->commit(options, &f.runtime, cut, &f.err) == MR_OK)
            fail_msg("a token cut to %zu bytes was committed", size);
    }
    commit(token);
    assert_string_equal(ids(true), "10 11");
}

int main(int argc, char **argv)
{
    if (argc == 5)
        return in_fresh_process(argv);
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(test_two_phases, setup, teardown),
        cmocka_unit_test_setup_teardown(test_fresh_process, setup, teardown),
        cmocka_unit_test_setup_teardown(test_abort, setup, teardown),
        cmocka_unit_test_setup_teardown(test_abort_without_token, setup, teardown),
        cmocka_unit_test_setup_teardown(test_writer_without_finish, setup, teardown),
        cmocka_unit_test_setup_teardown(test_no_rows, setup, teardown),
        cmocka_unit_test_setup_teardown(test_lanes_and_epochs, setup, teardown),
        cmocka_unit_test_setup_teardown(test_recover, setup, teardown),
        cmocka_unit_test_setup_teardown(test_damaged_token, setup, teardown),
    };
    int failed = 0;
    for (size_t i = 0; i < sizeof subjects / sizeof subjects[0]; i++) {
        subject = &subjects[i];
        printf("# sink %s%s\n", subject->sink->name, i == 1 ? ", partitioned" : "");
        fflush(stdout);
        failed += cmocka_run_group_tests(tests, NULL, NULL);
    }
    return failed;
}
