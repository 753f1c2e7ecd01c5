/*
 * source_suite.c - the contract of ext/source.h, on every registered source that needs no server.
 *
 * A source under test brings a function that makes rows of a known shape readable and says with which options. What
 * needs a server of its own is driven in the same way by tests/interop, against that server; here it is skipped by name. A
 * registered source that is in neither list fails the suite.
 */
#include "col/arrow_cdata.h"
#include "col/kernel.h"
#include "contract/fixture.h"
#include "contract/registered.h"
#include "ext/format.h"
#include "ext/given.h"
#include "ext/source.h"

#include <errno.h>
#include <limits.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/stat.h>

#include <cmocka.h>

#define SCHEMA     "id BIGINT NOT NULL, name STRING, price DECIMAL(9,2)"
#define ROWS       150000 /* at least: more than a batch */
#define MAX_SPLITS 64

static struct fixture f;
static struct mr_given_list given;
static const struct mr_method *method;
static const struct mr_source *source;

/* --- fromArrow: a stream of batches of several sizes --- */

struct batches {
    struct mr_batch *batch;
    int next;
};

static const int64_t sizes[] = {70000, 1, 5, 65536, 100, 14358};

static int get_schema(struct ArrowArrayStream *self, struct ArrowSchema *out)
{
    struct batches *batches = self->private_data;
    return mr_arrow_export_schema(batches->batch->schema, out, NULL) == MR_OK ? 0 : ENOMEM;
}

static int get_next(struct ArrowArrayStream *self, struct ArrowArray *out)
{
    struct batches *batches = self->private_data;
    int64_t from = 0;
    out->release = NULL;
    if (batches->next == (int)(sizeof sizes / sizeof sizes[0]))
        return 0;
    for (int i = 0; i < batches->next; i++)
        from += sizes[i];
    struct mr_batch *part = NULL;
    int64_t count = sizes[batches->next++];
    if (mr_batch_slice(NULL, batches->batch, from, count, &part, NULL) != MR_OK)
        return ENOMEM;
    enum mr_status status = mr_arrow_export_batch(part, out, NULL);
    mr_batch_unref(part);
    return status == MR_OK ? 0 : ENOMEM;
}

static const char *get_last_error(struct ArrowArrayStream *self)
{
    (void)self;
    return NULL;
}

static void release_stream(struct ArrowArrayStream *self)
{
    struct batches *batches = self->private_data;
    mr_batch_unref(batches->batch);
    mr_free(batches);
    self->release = NULL;
}

/* id = 0, 1, 2, ..; every seventh name NULL. */
static struct mr_batch *make_rows(void)
{
    static const char *const some[] = {"0|a|0.01", "1|~|-1.50", "2|longer than that|~", NULL};
    struct mr_batch *seed = fixture_batch(&f, SCHEMA, some);
    int32_t *rows = mr_arena_calloc(&f.arena, ROWS, sizeof *rows);
    int64_t *ids = NULL;
    struct mr_batch *out = NULL;
    for (int i = 0; i < ROWS; i++)
        rows[i] = i % 7 == 0 ? 1 : i % 2 * 2;
    FIXTURE_OK(&f, mr_batch_take(NULL, seed, rows, ROWS, &out, &f.err));
    ids = (int64_t *)(void *)out->columns[0]->values->data; /* not shared yet */
    for (int64_t i = 0; i < ROWS; i++)
        ids[i] = i;
    mr_batch_unref(seed);
    return out;
}

static const char *const *give_arrow(void)
{
    static const char *const options[] = {"stream", "rows", NULL};
    struct batches *batches = mr_calloc(1, sizeof *batches);
    batches->batch = make_rows();
    struct ArrowArrayStream stream = {get_schema, get_next, get_last_error, release_stream,
                                      batches};
    FIXTURE_OK(&f, mr_given_add(&given, "rows", &stream, &f.err));
    return options;
}

/* --- fromFile, fromS3: Parquet files of several sizes and row groups --- */

struct file_sink {
    struct mr_byte_sink base;
    FILE *file;
};

static enum mr_status append_file(struct mr_byte_sink *base, const void *data, size_t size,
                                  struct mr_error *err)
{
    struct file_sink *sink = (struct file_sink *)(void *)base;
    (void)err;
    assert_int_equal(fwrite(data, 1, size, sink->file), size);
    return MR_OK;
}

static void write_rows(struct mr_batch *rows, int64_t from, int64_t count, const char *name)
{
    const struct mr_format *format = mr_registry_format(&f.registry, "parquet");
    struct mr_format_write write = {.schema = rows->schema,
                                    .compression = "none",
                                    .level = INT_MIN,
                                    .row_group_rows = 20000,
                                    .runtime = &f.runtime};
    char path[400];
    struct file_sink sink = {.base = {append_file}};
    struct mr_file_statistics statistics;
    struct mr_batch *part;
    void *writer;
    snprintf(path, sizeof path, "%s/%s", f.directory, name);
    sink.file = fopen(path, "w");
    FIXTURE_OK(&f, mr_batch_slice(NULL, rows, from, count, &part, &f.err));
    FIXTURE_OK(&f, format->write_open(&write, &sink.base, &writer, &f.err));
    FIXTURE_OK(&f, format->write(writer, part, &f.err));
    FIXTURE_OK(&f, format->write_finish(writer, &statistics, &f.err));
    format->write_close(writer);
    mr_batch_unref(part);
    fclose(sink.file);
}

static const char *const *give_files(void)
{
    const char **pairs = mr_arena_calloc(&f.arena, 3, sizeof *pairs);
    struct mr_batch *rows = make_rows();
    write_rows(rows, 0, 70000, "a.parquet");
    write_rows(rows, 70000, 1, "b.parquet");
    write_rows(rows, 70001, ROWS - 70001, "c.parquet");
    mr_batch_unref(rows);
    pairs[0] = "path";
    pairs[1] = f.directory;
    return pairs;
}

/* --- fromDeltaLake: the same files, and a log of two commits --- */

#define FIELD(name, type, nullable)                                                                \
    "{\\\"name\\\":\\\"" name "\\\",\\\"type\\\":\\\"" type "\\\",\\\"nullable\\\":" nullable      \
    ",\\\"metadata\\\":{}}"
#define ADD "{\"add\":{\"path\":\"%s\",\"partitionValues\":{},\"dataChange\":true,\"size\":%lld}}\n"

static void write_log(const char *version, const char *head, const char *const *files)
{
    char path[400];
    snprintf(path, sizeof path, "%s/_delta_log/%s.json", f.directory, version);
    FILE *log = fopen(path, "w");
    assert_non_null(log);
    fputs(head, log);
    for (; *files; files++) {
        struct stat info;
        snprintf(path, sizeof path, "%s/%s", f.directory, *files);
        assert_int_equal(stat(path, &info), 0);
        fprintf(log, ADD, *files, (long long)info.st_size);
    }
    fclose(log);
}

static const char *const *give_delta(void)
{
    static const char *const first[] = {"a.parquet", NULL};
    static const char *const second[] = {"b.parquet", "c.parquet", NULL};
    char path[300];
    const char *const *pairs = give_files();
    snprintf(path, sizeof path, "%s/_delta_log", f.directory);
    assert_int_equal(mkdir(path, 0777), 0);
    write_log("00000000000000000000",
              "{\"protocol\":{\"minReaderVersion\":1,\"minWriterVersion\":2}}\n"
              "{\"metaData\":{\"id\":\"1\",\"partitionColumns\":[],\"configuration\":{},"
              "\"schemaString\":\"{\\\"type\\\":\\\"struct\\\",\\\"fields\\\":[" FIELD(
                  "id", "long", "false") "," FIELD("name", "string",
                                                   "true") "," FIELD("price", "decimal(9,2)",
                                                                     "true") "]}\"}}\n",
              first);
    write_log("00000000000000000001", "{\"commitInfo\":{}}\n", second);
    return pairs;
}

/* --- the sources --- */

struct subject {
    const char *name; /* of the source */
    const char *const *(*prepare)(void);
    const char *elsewhere; /* why it is not tested here, and where */
};

static const struct subject subjects[] = {
    {"arrow", give_arrow, NULL},
    {"files", give_files, NULL},
    {"delta", give_delta, NULL},
    {"postgres", NULL, "needs a server: tests/interop/test_postgres.py"},
    {"kafka", NULL, "needs a server: tests/interop/test_kafka.py"},
};

static const struct subject *subject_of(const struct mr_source *of)
{
    for (size_t i = 0; i < sizeof subjects / sizeof subjects[0]; i++)
        if (strcmp(subjects[i].name, of->name) == 0)
            return &subjects[i];
    fprintf(stderr, "the source \"%s\" has no line in source_suite.c\n", of->name);
    abort();
}

static const struct mr_options *options;

static int setup(void **state)
{
    (void)state;
    fixture_init(&f, 0);
    f.registry = *contract_registry();
    f.runtime.parallelism = 3;
    given = (struct mr_given_list){.memory = &f.memory};
    f.runtime.given = &given;
    FIXTURE_OK(&f, mr_options_from_texts(&f.arena, source->options, subject_of(source)->prepare(),
                                         &options, &f.err));
    return 0;
}

static int teardown(void **state)
{
    (void)state;
    mr_given_reset(&given);
    return fixture_reset(&f);
}

/* --- driving --- */

struct bound {
    void *state;
    struct mr_source_info info;
    struct mr_split_list splits;
};

static struct bound bind_source(void)
{
    struct bound bound = {0};
    struct mr_source_bind request = {.options = options, .runtime = &f.runtime, .arena = &f.arena};
    FIXTURE_OK(&f, source->bind(&request, &bound.state, &bound.info, &f.err));
    return bound;
}

static void make_splits(struct bound *bound)
{
    FIXTURE_OK(&f, source->splits(bound->state, &f.runtime, &f.arena, &bound->splits, &f.err));
    assert_in_range(bound->splits.count, 1, MAX_SPLITS);
    for (int i = 0; i < bound->splits.count; i++) {
        assert_true(bound->splits.items[i].token.size > 0);
        assert_non_null(bound->splits.items[i].label);
    }
}

/* What was read, in order. */
struct rows {
    struct mr_content_hash hash;
    int64_t ids[ROWS];
    int64_t batches, largest;
};

static struct rows *new_rows(void)
{
    return mr_arena_calloc(&f.arena, 1, sizeof(struct rows));
}

static void add_batch(struct rows *rows, const struct mr_batch *batch)
{
    int id = mr_schema_find(batch->schema, "id");
    struct mr_content_hash hash;
    FIXTURE_OK(&f, mr_batch_content_hash(batch, &hash, &f.err));
    rows->hash.sum += hash.sum;
    rows->hash.mixed += hash.mixed;
    rows->hash.rows += batch->rows;
    for (int64_t i = 0; id >= 0 && i < batch->rows; i++) {
        struct mr_value value;
        int64_t at = rows->hash.rows - batch->rows + i;
        mr_column_get(batch->columns[id], i, &value);
        if (at < ROWS)
            rows->ids[at] = value.u.i64;
    }
    rows->batches++;
    if (batch->rows > rows->largest)
        rows->largest = batch->rows;
}

/* Reads at most `most` batches (-1 = all); the position behind them in `position`. */
static void read_split(const struct bound *bound, int split, struct mr_slice from, int most,
                       struct rows *rows, struct mr_bytes *position)
{
    void *reader;
    FIXTURE_OK(&f, source->reader_open(bound->state, &f.runtime, bound->splits.items[split].token,
                                       from, &reader, &f.err));
    while (most-- != 0) {
        struct mr_item item;
        FIXTURE_OK(&f, source->next(reader, &item, &f.err));
        if (item.kind == MR_ITEM_END)
            break;
        assert_int_equal(item.kind, MR_ITEM_BATCH);
        assert_true(mr_schema_equal(item.batch->schema, bound->info.schema));
        assert_true(item.batch->rows > 0);
        for (int c = 0; c < item.batch->schema->nfields; c++)
            FIXTURE_OK(&f, mr_column_check(item.batch->columns[c], &f.err));
        add_batch(rows, item.batch);
        mr_batch_unref(item.batch);
    }
    if (position)
        FIXTURE_OK(&f, source->position(reader, position, &f.err));
    source->reader_close(reader);
}

static struct rows *read_all(const struct bound *bound)
{
    struct rows *rows = new_rows();
    for (int i = 0; i < bound->splits.count; i++)
        read_split(bound, i, (struct mr_slice){0}, -1, rows, NULL);
    return rows;
}

static bool same(const struct rows *a, const struct rows *b)
{
    return a->hash.rows == b->hash.rows && a->hash.sum == b->hash.sum &&
           a->hash.mixed == b->hash.mixed;
}

/* --- what is promised --- */

static void test_reads_all(void **state)
{
    (void)state;
    const struct mr_schema *wanted = fixture_schema(&f, SCHEMA);
    struct bound bound = bind_source();
    assert_true(mr_schema_equal(bound.info.schema, wanted));
    assert_non_null(bound.info.location);
    make_splits(&bound);
    struct rows *rows = read_all(&bound);
    assert_int_equal(rows->hash.rows, ROWS);
    char *seen = mr_arena_calloc(&f.arena, ROWS, 1);
    for (int i = 0; i < ROWS; i++) {
        assert_in_range(rows->ids[i], 0, ROWS - 1);
        assert_int_equal(seen[rows->ids[i]]++, 0);
    }
    int64_t predicted = 0;
    for (int i = 0; i < bound.splits.count; i++)
        predicted += bound.splits.items[i].rows;
    if (bound.info.rows == ROWS)
        assert_int_equal(predicted, ROWS);
    source->close(bound.state);
}

/* Two plans of the same thing: the same splits, the same rows, in the same order where that is promised. */
static void test_twice(void **state)
{
    (void)state;
    struct bound one = bind_source(), two = bind_source();
    make_splits(&one);
    make_splits(&two);
    struct rows *first = read_all(&one), *second = read_all(&two), *again = read_all(&one);
    assert_true(same(first, second) && same(first, again));
    assert_int_equal(one.splits.count, two.splits.count);
    for (int i = 0; i < one.splits.count; i++)
        assert_string_equal(one.splits.items[i].label, two.splits.items[i].label);
    if (source->flags & MR_SOURCE_STABLE_ORDER)
        assert_memory_equal(first->ids, again->ids, sizeof first->ids);
    source->close(one.state);
    source->close(two.state);
}

/* A reader is opened anew behind every batch: nothing is missing and nothing comes twice. */
static void test_positions(void **state)
{
    (void)state;
    f.runtime.batch_rows = 10000;
    struct bound bound = bind_source();
    make_splits(&bound);
    struct rows *whole = read_all(&bound), *parts = new_rows();
    assert_true(whole->largest <= 10000);
    for (int i = 0; i < bound.splits.count; i++) {
        if (!(source->flags & MR_SOURCE_STABLE_ORDER) || bound.splits.items[i].unordered) {
            read_split(&bound, i, (struct mr_slice){0}, -1, parts, NULL);
            continue;
        }
        struct mr_bytes positions[2];
        int64_t before = -1;
        mr_bytes_init(&positions[0], 4096);
        mr_bytes_init(&positions[1], 4096);
        for (int turn = 0; parts->hash.rows != before; turn++) {
            struct mr_bytes *from = &positions[turn % 2], *to = &positions[1 - turn % 2];
            before = parts->hash.rows;
            mr_bytes_clear(to);
            read_split(&bound, i, (struct mr_slice){from->data, from->size}, 1, parts, to);
        }
        mr_bytes_reset(&positions[0]);
        mr_bytes_reset(&positions[1]);
    }
    assert_true(same(whole, parts));
    if (source->flags & MR_SOURCE_STABLE_ORDER)
        assert_memory_equal(whole->ids, parts->ids, sizeof whole->ids);
    source->close(bound.state);
}

static void test_offers(void **state)
{
    (void)state;
    struct bound bound = bind_source();
    if (!source->offer)
        skip();
    /* Columns: those and no others, in their order. */
    bool columns[] = {true, false, true};
    struct mr_source_offer offer = {.columns = columns, .limit = -1};
    FIXTURE_OK(&f, source->offer(bound.state, &offer, &bound.info, &f.err));
    assert_true(mr_schema_equal(bound.info.schema,
                                fixture_schema(&f, "id BIGINT NOT NULL, price DECIMAL(9,2)")));
    make_splits(&bound);
    struct rows *rows = read_all(&bound);
    assert_int_equal(rows->hash.rows, ROWS);
    source->close(bound.state);

    /* No column at all: counting. */
    bool none[] = {false, false, false};
    bound = bind_source();
    offer = (struct mr_source_offer){.columns = none, .limit = -1};
    FIXTURE_OK(&f, source->offer(bound.state, &offer, &bound.info, &f.err));
    make_splits(&bound);
    assert_int_equal(read_all(&bound)->hash.rows, ROWS);
    source->close(bound.state);

    /* A limit bounds each split, positions in it included. */
    bound = bind_source();
    offer = (struct mr_source_offer){.limit = 3};
    FIXTURE_OK(&f, source->offer(bound.state, &offer, &bound.info, &f.err));
    make_splits(&bound);
    for (int i = 0; i < bound.splits.count; i++) {
        struct mr_bytes position;
        rows = new_rows();
        mr_bytes_init(&position, 4096);
        read_split(&bound, i, (struct mr_slice){0}, 1, rows, &position);
        if ((source->flags & MR_SOURCE_STABLE_ORDER) && !bound.splits.items[i].unordered)
            read_split(&bound, i, (struct mr_slice){position.data, position.size}, -1, rows, NULL);
        assert_in_range(rows->hash.rows, 1, 3);
        mr_bytes_reset(&position);
    }
    source->close(bound.state);
}

/* Left in the middle, closed without reading: nothing stays behind (teardown counts the memory). */
static void test_leaving(void **state)
{
    (void)state;
    struct bound bound = bind_source();
    source->close(bound.state);
    bound = bind_source();
    make_splits(&bound);
    struct rows *rows = new_rows();
    read_split(&bound, 0, (struct mr_slice){0}, 0, rows, NULL);
    read_split(&bound, 0, (struct mr_slice){0}, 1, rows, NULL);
    source->close(bound.state);
}

/* Tokens and positions that are none are refused, not obeyed. */
static void test_strange_tokens(void **state)
{
    (void)state;
    struct bound bound = bind_source();
    make_splits(&bound);
    struct mr_slice good = bound.splits.items[0].token;
    char strange[64] = {0};
    void *reader = NULL;
    memcpy(strange, good.data, good.size < sizeof strange ? good.size : sizeof strange);
    strange[0] ^= 0x40; /* the version */
    assert_int_not_equal(source->reader_open(bound.state, &f.runtime,
                                             (struct mr_slice){strange,
                                                               good.size < 64 ? good.size : 64},
                                             (struct mr_slice){0}, &reader, &f.err),
                         MR_OK);
    assert_int_not_equal(source->reader_open(bound.state, &f.runtime,
                                             (struct mr_slice){good.data, good.size / 2},
                                             (struct mr_slice){0}, &reader, &f.err),
                         MR_OK);
    assert_int_not_equal(source->reader_open(bound.state, &f.runtime, good,
                                             (struct mr_slice){"\x7F", 1}, &reader, &f.err),
                         MR_OK);
    source->close(bound.state);
}

/* Too little memory is an error, and a source can be closed after it. */
static void test_memory(void **state)
{
    (void)state;
    f.memory.limit = 100000;
    atomic_store(&f.memory.peak, mr_memory_used(&f.memory)); /* not of making the files */
    struct bound bound = {0};
    struct mr_source_bind request = {.options = options, .runtime = &f.runtime, .arena = &f.arena};
    enum mr_status status = source->bind(&request, &bound.state, &bound.info, &f.err);
    if (status == MR_OK) {
        make_splits(&bound);
        void *reader;
        struct mr_item item = {0};
        status = source->reader_open(bound.state, &f.runtime, bound.splits.items[0].token,
                                     (struct mr_slice){0}, &reader, &f.err);
        if (status == MR_OK) {
            status = source->next(reader, &item, &f.err);
            mr_batch_unref(item.batch);
            source->reader_close(reader);
        }
        source->close(bound.state);
    }
    assert_true(status == MR_OK || status == MR_LIMIT);
    assert_true(f.memory.peak <= 100000);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(test_reads_all, setup, teardown),
        cmocka_unit_test_setup_teardown(test_twice, setup, teardown),
        cmocka_unit_test_setup_teardown(test_positions, setup, teardown),
        cmocka_unit_test_setup_teardown(test_offers, setup, teardown),
        cmocka_unit_test_setup_teardown(test_leaving, setup, teardown),
        cmocka_unit_test_setup_teardown(test_strange_tokens, setup, teardown),
        cmocka_unit_test_setup_teardown(test_memory, setup, teardown),
    };
    int failed = 0;
    for (method = contract_registry()->methods; method->name; method++) {
        source = method->source;
        if (!source)
            continue;
        if (subject_of(source)->elsewhere) {
            printf("# %s is skipped: %s\n", method->name, subject_of(source)->elsewhere);
            continue;
        }
        printf("# %s\n", method->name);
        failed += cmocka_run_group_tests(tests, NULL, NULL);
    }
    return failed;
}
