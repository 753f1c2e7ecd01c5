/*
 * test_files.c - the files sink: layout, modes, names, commit, leftovers.
 */
#include "connect/files/files.h"
#include "contract/fixture.h"
#include "format/text.h"
#include "store/local.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdint.h>
#include <stdio.h>
#include <sys/stat.h>

#include <cmocka.h>

static const struct mr_store *const stores[] = {&mr_store_local, NULL};
static const struct mr_format *const formats[] = {&mr_format_json, NULL};
static const struct mr_codec *const codecs[] = {NULL};

static struct fixture f;
static int64_t epoch_number;
static int sink_number;

static int setup(void **state)
{
    (void)state;
    fixture_init(&f, 0);
    f.registry.stores = stores;
    f.registry.formats = formats;
    f.registry.codecs = codecs;
    epoch_number = 1;
    return 0;
}

static int teardown(void **state)
{
    (void)state;
    return fixture_reset(&f);
}

#define SCHEMA "id INT, g STRING, d DATE"

static const char *const two_rows[] = {"1|a|0", "2|b|1", NULL};

static const struct mr_options *options_of(const char *const *pairs)
{
    const struct mr_options *options;
    FIXTURE_OK(&f, mr_options_from_texts(&f.arena, mr_sink_files.options, pairs, &options, &f.err));
    return options;
}

static enum mr_status bind(const struct mr_options *options, const char *schema, void **state,
                           struct mr_sink_info *info)
{
    struct mr_sink_bind request = {
        .options = options,
        .runtime = &f.runtime,
        .arena = &f.arena,
        .schema = fixture_schema(&f, schema),
        .rows = -1,
        .bytes = -1,
        .step = "step 2 (toFile)",
        .sequence = sink_number,
    };
    return mr_sink_files.bind(&request, state, info, &f.err);
}

/* Writes batches of rows as task 0 and prepares; the token is the caller's. */
static enum mr_status stage(const struct mr_options *options, const char *const *rows,
                            struct mr_bytes *token)
{
    void *state, *writer;
    struct mr_sink_info info;
    struct mr_epoch epoch = {.epoch = epoch_number};
    struct mr_bytes committable;
    mr_bytes_init(&committable, 1 << 20);
    mr_bytes_init(token, 1 << 20);
    enum mr_status status = bind(options, SCHEMA, &state, &info);
    if (status != MR_OK)
        return status;
    FIXTURE_OK(&f, mr_sink_files.writer_open(state, &f.runtime, &epoch, 0, &writer, &f.err));
    if (rows) {
        struct mr_batch *batch = fixture_batch(&f, SCHEMA, rows);
        FIXTURE_OK(&f, mr_sink_files.write(writer, batch, &f.err));
        mr_batch_unref(batch);
    }
    FIXTURE_OK(&f, mr_sink_files.writer_finish(writer, &committable, &f.err));
    mr_sink_files.writer_close(writer);
    struct mr_slice slice = {committable.data, committable.size};
    status = mr_sink_files.prepare(state, &f.runtime, &epoch, &slice, 1, token, &f.err);
    mr_bytes_reset(&committable);
    mr_sink_files.close(state);
    return status;
}

static void run(const struct mr_options *options, const char *const *rows)
{
    struct mr_bytes token;
    FIXTURE_OK(&f, stage(options, rows, &token));
    for (int again = 0; again < 2; again++)
        FIXTURE_OK(&f, mr_sink_files.commit(options, &f.runtime,
                                            (struct mr_slice){token.data, token.size}, &f.err));
    mr_bytes_reset(&token);
    epoch_number++;
}

/* The rows of all JSON files but the marker, in order of their paths; partition directories in front of each file's. */
static const char *rows_of(const char *directory)
{
    char root[512], path[1024];
    snprintf(root, sizeof root, "%s/%s", f.directory, directory);
    char *tree = fixture_tree(&f, root);
    struct mr_bytes out;
    mr_bytes_init(&out, 1 << 20);
    for (char *line = strtok(tree, "\n"); line; line = strtok(NULL, "\n")) {
        char *slash = strrchr(line, '/');
        if (strncmp(line, ".millrace-state/", 16) == 0)
            continue;
        if (slash)
            mr_bytes_printf(&out, "%.*s:", (int)(slash - line), line);
        snprintf(path, sizeof path, "%s/%s", root, line);
        mr_bytes_printf(&out, "%s", fixture_read(&f, path, NULL));
    }
    const char *text = mr_arena_strndup(&f.arena, out.size ? out.data : "", out.size);
    mr_bytes_reset(&out);
    return text;
}

static void test_plain(void **state)
{
    (void)state;
    const char *const pairs[] = {"path", "out", "format", "json", NULL};
    const struct mr_options *options = options_of(pairs);
    struct mr_bytes token;
    FIXTURE_OK(&f, stage(options, two_rows, &token));
    char root[512];
    snprintf(root, sizeof root, "%s/out", f.directory);
    const char *tree = fixture_tree(&f, root);
    assert_memory_equal(tree, ".part-00000-", 12); /* nothing but a hidden name */
    assert_non_null(strstr(tree, ".inprogress-"));
    FIXTURE_OK(&f, mr_sink_files.commit(options, &f.runtime,
                                        (struct mr_slice){token.data, token.size}, &f.err));
    mr_bytes_reset(&token);
    assert_string_equal(rows_of("out"), "{\"id\":1,\"g\":\"a\",\"d\":\"1970-01-01\"}\n"
                                        "{\"id\":2,\"g\":\"b\",\"d\":\"1970-01-02\"}\n");
    assert_int_equal(atomic_load(&f.counters.value[MR_COUNT_ROWS_WRITTEN]), 2);
    assert_int_equal(atomic_load(&f.counters.value[MR_COUNT_FILES]), 1);
    assert_int_equal(atomic_load(&f.counters.value[MR_COUNT_BYTES_WRITTEN]), 68);
}

static void test_append_adds(void **state)
{
    (void)state;
    const char *const pairs[] = {"path", "out", "format", "json", "partitionBy", "g", NULL};
    const char *const more[] = {"3|a|~", NULL};
    run(options_of(pairs), two_rows);
    run(options_of(pairs), more);
    const char *rows = rows_of("out");
    assert_non_null(strstr(rows, "g=a:{\"id\":1,\"d\":\"1970-01-01\"}\n"));
    assert_non_null(strstr(rows, "g=a:{\"id\":3,\"d\":null}\n"));
    assert_non_null(strstr(rows, "g=b:{\"id\":2,\"d\":\"1970-01-02\"}\n"));
}

static void test_overwrite(void **state)
{
    (void)state;
    const char *const dynamic[] = {"path", "out",  "format",    "json", "partitionBy",
                                   "g",    "mode", "overwrite", NULL};
    const char *const whole[] = {"path",   "out",         "format",
                                 "json",   "partitionBy", "g",
                                 "mode",   "overwrite",   "partitionOverwriteMode",
                                 "static", NULL};
    const char *const more[] = {"3|a|~", NULL};
    char hidden[512];
    run(options_of(dynamic), two_rows);
    snprintf(hidden, sizeof hidden, "%s/out/_SUCCESS", f.directory);
    fclose(fopen(hidden, "w"));
    run(options_of(dynamic), more);
    assert_string_equal(rows_of("out"), "g=a:{\"id\":3,\"d\":null}\n"
                                        "g=b:{\"id\":2,\"d\":\"1970-01-02\"}\n");
    run(options_of(whole), more);
    assert_string_equal(rows_of("out"), "g=a:{\"id\":3,\"d\":null}\n");
    struct stat info;
    assert_int_equal(stat(hidden, &info), 0);
    snprintf(hidden, sizeof hidden, "%s/out/g=b", f.directory);
    assert_int_not_equal(stat(hidden, &info), 0); /* an emptied partition goes */
}

static void test_names_of_partitions(void **state)
{
    (void)state;
    const char *const pairs[] = {"path", "out", "format", "json", "partitionBy", "g,d", NULL};
    const char *const rows[] = {"1|a/b=c%|0", "2||1", "3|~|~", "4|\xC3\xA9 x|-1", NULL};
    run(options_of(pairs), rows);
    assert_string_equal(rows_of("out"),
                        "g=__HIVE_DEFAULT_PARTITION__/d=1970-01-02:{\"id\":2}\n"
                        "g=__HIVE_DEFAULT_PARTITION__/d=__HIVE_DEFAULT_PARTITION__:{\"id\":3}\n"
                        "g=a%2Fb%3Dc%25/d=1970-01-01:{\"id\":1}\n"
                        "g=\xC3\xA9 x/d=1969-12-31:{\"id\":4}\n");
}

static void test_exists(void **state)
{
    (void)state;
    const char *const add[] = {"path", "out", "format", "json", NULL};
    const char *const stop[] = {"path", "out", "format", "json", "mode", "errorifexists", NULL};
    const char *const skip[] = {"path", "out", "format", "json", "mode", "ignore", NULL};
    struct mr_bytes late;
    FIXTURE_OK(&f, stage(options_of(stop), two_rows, &late));
    epoch_number++;
    run(options_of(add), two_rows);
    struct mr_slice token = {late.data, late.size};
    assert_int_equal(mr_sink_files.commit(options_of(stop), &f.runtime, token, &f.err), MR_SINK);
    FIXTURE_OK(&f, mr_sink_files.abort(options_of(stop), &f.runtime, token, &f.err));
    mr_bytes_reset(&late);

    struct mr_sink_info info;
    void *bound;
    assert_int_equal(bind(options_of(stop), SCHEMA, &bound, &info), MR_SINK);
    FIXTURE_OK(&f, bind(options_of(skip), SCHEMA, &bound, &info));
    assert_true(info.skip);
    mr_sink_files.close(bound);
    assert_string_equal(rows_of("out"), "{\"id\":1,\"g\":\"a\",\"d\":\"1970-01-01\"}\n"
                                        "{\"id\":2,\"g\":\"b\",\"d\":\"1970-01-02\"}\n");
}

static void test_leftovers(void **state)
{
    (void)state;
    const char *const pairs[] = {"path", "out", "format", "json", "partitionBy", "g", NULL};
    const struct mr_options *options = options_of(pairs);
    struct mr_bytes dead, other;
    FIXTURE_OK(&f, stage(options, two_rows, &dead));
    f.runtime.state_key = "another";
    FIXTURE_OK(&f, stage(options, two_rows, &other));
    f.runtime.state_key = "test";
    FIXTURE_OK(&f, mr_sink_files.abort(options, &f.runtime, (struct mr_slice){NULL, 0}, &f.err));
    /* What the other pipeline has staged is still there and can be committed. */
    f.runtime.state_key = "another";
    FIXTURE_OK(&f, mr_sink_files.commit(options, &f.runtime,
                                        (struct mr_slice){other.data, other.size}, &f.err));
    f.runtime.state_key = "test";
    assert_string_equal(rows_of("out"), "g=a:{\"id\":1,\"d\":\"1970-01-01\"}\n"
                                        "g=b:{\"id\":2,\"d\":\"1970-01-02\"}\n");
    assert_int_equal(mr_sink_files.commit(options, &f.runtime,
                                          (struct mr_slice){dead.data, dead.size}, &f.err),
                     MR_SINK);
    assert_int_equal(f.err.cls, MR_CLASS_FATAL);
    mr_bytes_reset(&dead);
    mr_bytes_reset(&other);
}

static void test_empty(void **state)
{
    (void)state;
    const char *const pairs[] = {"path", "out", "format", "json", NULL};
    char root[512];
    snprintf(root, sizeof root, "%s/out", f.directory);
    run(options_of(pairs), NULL);
    const char *tree = fixture_tree(&f, root);
    assert_memory_equal(tree, ".millrace-state/", 16);
    assert_memory_equal(strchr(tree, '\n') + 1, "part-00000-", 11);
    run(options_of(pairs), NULL); /* appending nothing to something adds no file */
    assert_string_equal(fixture_tree(&f, root), tree);
}

/* ---- the marker ---- */

static enum mr_status recover(const struct mr_options *options, int load,
                              struct mr_recovered *known)
{
    mr_bytes_clear(&known->positions);
    mr_bytes_clear(&known->unfinished);
    known->load = load;
    return mr_sink_files.recover(options, &f.runtime, 0, known, &f.err);
}

/* The object's path, as the only one there. */
static char *marker_path(void)
{
    char root[512];
    snprintf(root, sizeof root, "%s/out/.millrace-state", f.directory);
    char *tree = fixture_tree(&f, root);
    return mr_arena_printf(&f.arena, "%s/%s", root, strtok(tree, "\n"));
}

static void put_file(const char *path, const char *text, size_t size)
{
    FILE *file = fopen(path, "w");
    assert_non_null(file);
    assert_int_equal(fwrite(text, 1, size, file), size);
    assert_int_equal(fclose(file), 0);
}

/* A commit that ended half way is known as such, with what is needed to end it, to a process that has nothing else. */
static void test_marker_of_half_a_commit(void **state)
{
    (void)state;
    const char *const pairs[] = {"path", "out", "format", "json", "partitionBy", "g", NULL};
    const struct mr_options *options = options_of(pairs);
    struct mr_recovered known = {0};
    struct mr_bytes token;
    char in_the_way[512];
    mr_bytes_init(&known.positions, 1 << 20);
    mr_bytes_init(&known.unfinished, 1 << 20);
    FIXTURE_OK(&f, stage(options, two_rows, &token));
    snprintf(in_the_way, sizeof in_the_way, "%s/out/g=b", f.directory);
    char *name =
        mr_arena_strdup(&f.arena, fixture_tree(&f, in_the_way)); /* ".part-..json.inprogress-tag" */
    *strstr(name, ".inprogress-") = '\0';
    char *taken = mr_arena_printf(&f.arena, "%s/%s", in_the_way, name + 1);
    put_file(taken, "x", 1);
    struct mr_slice data = {token.data, token.size};
    assert_int_equal(mr_sink_files.commit(options, &f.runtime, data, &f.err), MR_SINK);
    FIXTURE_OK(&f, recover(options, 0, &known));
    assert_int_equal(known.epoch, epoch_number);
    assert_int_equal(known.unfinished.size, token.size);
    assert_memory_equal(known.unfinished.data, token.data, token.size);
    assert_true(known.adds);
    assert_int_equal(remove(taken), 0);
    data = (struct mr_slice){known.unfinished.data, known.unfinished.size};
    FIXTURE_OK(&f, mr_sink_files.commit(options, &f.runtime, data, &f.err));
    FIXTURE_OK(&f, recover(options, 0, &known));
    assert_int_equal(known.epoch, epoch_number);
    assert_int_equal(known.unfinished.size, 0);
    assert_string_equal(rows_of("out"), "g=a:{\"id\":1,\"d\":\"1970-01-01\"}\n"
                                        "g=b:{\"id\":2,\"d\":\"1970-01-02\"}\n");
    mr_bytes_reset(&token);
    mr_bytes_reset(&known.positions);
    mr_bytes_reset(&known.unfinished);
}

/* Two loads of one pipeline into one directory have each their own; one that is not known is answered with the latest of the others. */
static void test_marker_of_two_loads(void **state)
{
    (void)state;
    const char *const pairs[] = {"path", "out", "format", "json", NULL};
    const struct mr_options *options = options_of(pairs);
    struct mr_recovered known = {0};
    mr_bytes_init(&known.positions, 1 << 20);
    mr_bytes_init(&known.unfinished, 1 << 20);
    epoch_number = 7;
    run(options, two_rows);
    sink_number = 1;
    epoch_number = 5;
    run(options, two_rows);
    sink_number = 0;
    for (int load = 0; load < 3; load++) {
        FIXTURE_OK(&f, recover(options, load, &known));
        assert_int_equal(known.load, load == 2 ? 0 : load);
        assert_int_equal(known.epoch, load == 1 ? 5 : 7);
    }
    mr_bytes_reset(&known.positions);
    mr_bytes_reset(&known.unfinished);
}

static void test_damaged_marker(void **state)
{
    (void)state;
    const char *const pairs[] = {"path", "out", "format", "json", NULL};
    const struct mr_options *options = options_of(pairs);
    struct mr_recovered known = {0};
    size_t size;
    mr_bytes_init(&known.positions, 1 << 20);
    mr_bytes_init(&known.unfinished, 1 << 20);
    run(options, two_rows);
    const char *path = marker_path();
    char *text = mr_arena_strdup(&f.arena, fixture_read(&f, path, &size));
    for (size_t i = 0; i < size; i++) {
        text[i] ^= 1;
        put_file(path, text, size);
        text[i] ^= 1;
        assert_int_equal(recover(options, 0, &known), MR_SINK);
        assert_int_equal(f.err.cls, MR_CLASS_FATAL);
        put_file(path, text, i);
        assert_int_equal(recover(options, 0, &known), MR_SINK);
    }
    put_file(path, text, size);
    FIXTURE_OK(&f, recover(options, 0, &known));
    mr_bytes_reset(&known.positions);
    mr_bytes_reset(&known.unfinished);
}

static void test_rolling(void **state)
{
    (void)state;
    const char *const pairs[] = {"path", "out", "format", "json", "targetFileSize", "40", NULL};
    char root[512];
    snprintf(root, sizeof root, "%s/out", f.directory);
    const struct mr_options *options = options_of(pairs);
    void *bound, *writer;
    struct mr_sink_info info;
    struct mr_epoch epoch = {.epoch = 1};
    FIXTURE_OK(&f, bind(options, SCHEMA, &bound, &info));
    FIXTURE_OK(&f, mr_sink_files.writer_open(bound, &f.runtime, &epoch, 7, &writer, &f.err));
    for (int i = 0; i < 3; i++) {
        struct mr_batch *batch = fixture_batch(&f, SCHEMA, two_rows);
        FIXTURE_OK(&f, mr_sink_files.write(writer, batch, &f.err));
        mr_batch_unref(batch);
    }
    const char *tree = fixture_tree(&f, root);
    assert_non_null(strstr(tree, ".part-00007-"));
    assert_non_null(strstr(tree, "-00002.json"));
    /* Closed without finish: sealed files go too. */
    mr_sink_files.writer_close(writer);
    assert_string_equal(fixture_tree(&f, root), "");
    mr_sink_files.close(bound);
}

static void refuse(const char *const *pairs, const char *schema, const char *part)
{
    void *bound;
    struct mr_sink_info info;
    assert_int_equal(bind(options_of(pairs), schema, &bound, &info), MR_CONFIG);
    if (!strstr(f.err.message, part))
        fail_msg("'%s' does not say '%s'", f.err.message, part);
}

static void test_refusals(void **state)
{
    (void)state;
    const char *const nowhere[] = {"format", "json", NULL};
    const char *const bucket[] = {"bucket", "b", "format", "json", NULL};
    const char *const endpoint[] = {"bucket", "b",         "format",
                                    "json",   "bucketMap", "b=https://s3.example",
                                    NULL};
    const char *const climb[] = {"bucket", "b",         "path",   "a/../../c", "format",
                                 "json",   "bucketMap", "b=/tmp", NULL};
    const char *const orc[] = {"path", "o", "format", "orc", NULL};
    const char *const column[] = {"path", "o", "format", "json", "partitionBy", "nope", NULL};
    const char *const twice[] = {"path", "o", "format", "json", "partitionBy", "id,ID", NULL};
    const char *const all[] = {"path", "o", "format", "json", "partitionBy", "id,g,d", NULL};
    const char *const binary[] = {"path", "o", "format", "json", "partitionBy", "b", NULL};
    const char *const scheme[] = {"path", "hdfs://x/y", "format", "json", NULL};
    refuse(nowhere, SCHEMA, "path is missing");
    refuse(bucket, SCHEMA, "S3 is not in this build");
    refuse(endpoint, SCHEMA, "S3 is not in this build");
    refuse(climb, SCHEMA, "..");
    refuse(orc, SCHEMA, "orc");
    refuse(column, SCHEMA, "nope");
    refuse(twice, SCHEMA, "twice");
    refuse(all, SCHEMA, "no column is left");
    refuse(binary, "a INT, b BINARY", "type binary");
    refuse(scheme, SCHEMA, "scheme");
}

static void test_bucket(void **state)
{
    (void)state;
    const char *map = mr_arena_printf(&f.arena, "lake=%s/lake/", f.directory);
    const char *const pairs[] = {"bucket", "lake",      "path", "/users//", "format",
                                 "json",   "bucketMap", map,    NULL};
    const char *const url[] = {"path", "s3a://lake/users", "format", "json", "bucketMap", map,
                               NULL};
    run(options_of(pairs), two_rows);
    run(options_of(url), NULL);
    assert_string_equal(rows_of("lake/users"), "{\"id\":1,\"g\":\"a\",\"d\":\"1970-01-01\"}\n"
                                               "{\"id\":2,\"g\":\"b\",\"d\":\"1970-01-02\"}\n");
}

/* "path rows" of each entry, names of files cut behind their directory. */
static const char *manifest_of(const char *directory)
{
    char path[512];
    snprintf(path, sizeof path, "%s/%s/_manifest.json", f.directory, directory);
    const char *text = fixture_read(&f, path, NULL);
    assert_non_null(text);
    assert_memory_equal(text, "{\"version\": 1, \"files\": [", 25);
    struct mr_bytes out;
    mr_bytes_init(&out, 1 << 16);
    for (const char *at = text; (at = strstr(at, "{\"path\": \"")); at++) {
        at += 10;
        mr_bytes_printf(&out, "%.*s", (int)(strstr(at, "part-") - at), at);
        const char *rows = strstr(at, "\"rows\": ");
        const char *end = strchr(at, '}');
        mr_bytes_printf(&out, "%s ", rows && rows < end ? "" : "?");
        if (rows && rows < end)
            mr_bytes_printf(&out, "%.*s ", (int)(end - rows - 8), rows + 8);
    }
    const char *list = mr_arena_strndup(&f.arena, out.size ? out.data : "", out.size);
    mr_bytes_reset(&out);
    return list;
}

static void test_manifest(void **state)
{
    (void)state;
    const char *const plain[] = {"path", "out", "format", "json", "partitionBy", "g", NULL};
    const char *const add[] = {"path", "out",      "format", "json", "partitionBy",
                               "g",    "manifest", "true",   NULL};
    const char *const dynamic[] = {"path", "out",       "format",   "json", "partitionBy", "g",
                                   "mode", "overwrite", "manifest", "true", NULL};
    const char *const fixed[] = {"path",      "out",      "format", "json", "mode",
                                 "overwrite", "manifest", "true",   NULL};
    const char *const rows_a[] = {"1|a|0", "2|a|0", NULL};
    const char *const rows_b[] = {"3|b|0", NULL};
    run(options_of(plain), rows_a);
    run(options_of(add), rows_b);
    assert_string_equal(manifest_of("out"), "g=a/? g=b/ 1 ");
    run(options_of(add), rows_a);
    assert_string_equal(manifest_of("out"), "g=a/? g=a/ 2 g=b/ 1 ");
    run(options_of(dynamic), rows_a);
    assert_string_equal(manifest_of("out"), "g=a/ 2 g=b/ 1 ");
    run(options_of(fixed), rows_b);
    assert_string_equal(manifest_of("out"), " 1 ");
    char path[512];
    snprintf(path, sizeof path, "%s/out/_manifest.json", f.directory);
    FILE *file = fopen(path, "w");
    fputs("{\"entries\": []}", file);
    fclose(file);
    struct mr_bytes token;
    assert_int_equal(stage(options_of(add), rows_b, &token), MR_SINK);
    assert_non_null(strstr(f.err.message, "_manifest.json"));
    mr_bytes_reset(&token);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(test_plain, setup, teardown),
        cmocka_unit_test_setup_teardown(test_append_adds, setup, teardown),
        cmocka_unit_test_setup_teardown(test_overwrite, setup, teardown),
        cmocka_unit_test_setup_teardown(test_names_of_partitions, setup, teardown),
        cmocka_unit_test_setup_teardown(test_exists, setup, teardown),
        cmocka_unit_test_setup_teardown(test_leftovers, setup, teardown),
        cmocka_unit_test_setup_teardown(test_empty, setup, teardown),
        cmocka_unit_test_setup_teardown(test_damaged_marker, setup, teardown),
        cmocka_unit_test_setup_teardown(test_marker_of_two_loads, setup, teardown),
        cmocka_unit_test_setup_teardown(test_marker_of_half_a_commit, setup, teardown),
        cmocka_unit_test_setup_teardown(test_rolling, setup, teardown),
        cmocka_unit_test_setup_teardown(test_refusals, setup, teardown),
        cmocka_unit_test_setup_teardown(test_bucket, setup, teardown),
        cmocka_unit_test_setup_teardown(test_manifest, setup, teardown),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
