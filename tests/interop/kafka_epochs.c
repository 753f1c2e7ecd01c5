/*
 * kafka_epochs.c - fromKafka as a stream reads it, without the engine: one epoch after another in one process, on command.
 *
 *   kafka_epochs [OPTION VALUE]...
 *
 * Options are those of fromKafka; format raw is read. For each line of the input, one line of JSON: "epoch" reads what is new, "again" the same without a
 * commit, so that the next one begins where this one did. {"rows": N, "read": [[partition, offset]..] (of up to 5000 rows), "wall": us, "cpu": us of the
 * process, with all threads of librdkafka}, or {"error": message} of an epoch that is then repeated. tests/interop/kafka_stream.py drives it.
 */
#include "base/time.h"
#include "connect/kafka/source.h"
#include "contract/fixture.h"

#include <stdio.h>
#include <stdlib.h>
#include <time.h>

#define SHOWN 5000

struct driver {
    struct fixture f;
    const char *const *pairs;
    struct mr_slice since;
    char *place; /* of `since` */
    int64_t rows;
    struct mr_bytes read;
};

static int64_t cpu_micros(void)
{
    struct timespec now;
    clock_gettime(CLOCK_PROCESS_CPUTIME_ID, &now);
    return (int64_t)now.tv_sec * 1000000 + now.tv_nsec / 1000;
}

static void show(struct driver *driver, const struct mr_batch *batch)
{
    const int32_t *partitions = (const int32_t *)(const void *)batch->columns[3]->values->data;
    const int64_t *offsets = (const int64_t *)(const void *)batch->columns[4]->values->data;
    for (int64_t i = 0; i < batch->rows && driver->rows + i < SHOWN; i++)
        mr_bytes_printf(&driver->read, "%s[%d, %lld]", driver->read.size > 0 ? ", " : "",
                        (int)partitions[i], (long long)offsets[i]);
    driver->rows += batch->rows;
}

static enum mr_status read_split(struct driver *driver, void *source, struct mr_slice token)
{
    struct mr_item item = {0};
    struct mr_error *err = &driver->f.err;
    void *reader;
    MR_TRY(mr_source_kafka.reader_open(source, &driver->f.runtime, token, (struct mr_slice){0},
                                       &reader, err));
    enum mr_status status;
    while ((status = mr_source_kafka.next(reader, &item, err)) == MR_OK &&
           item.kind != MR_ITEM_END) {
        show(driver, item.batch);
        mr_batch_unref(item.batch);
    }
    mr_source_kafka.reader_close(reader);
    return status;
}

static enum mr_status read_splits(struct driver *driver, void *source, struct mr_arena *arena,
                                  bool commit)
{
    struct mr_error *err = &driver->f.err;
    struct mr_split_list splits;
    MR_TRY(mr_source_kafka.splits(source, &driver->f.runtime, arena, &splits, err));
    for (int i = 0; i < splits.count; i++)
        MR_TRY(read_split(driver, source, splits.items[i].token));
    if (!commit)
        return MR_OK;
    char *copy = mr_alloc(splits.upto.size);
    memcpy(copy, splits.upto.data, splits.upto.size);
    mr_free(driver->place);
    driver->place = copy;
    driver->since = (struct mr_slice){copy, splits.upto.size};
    return MR_OK;
}

static enum mr_status epoch(struct driver *driver, bool commit)
{
    struct mr_arena arena;
    struct mr_source_bind bind = {.runtime = &driver->f.runtime,
                                  .arena = &arena,
                                  .since = driver->since};
    struct mr_source_info info;
    struct mr_error *err = &driver->f.err;
    void *source = NULL;
    mr_arena_init(&arena, NULL);
    driver->rows = 0;
    mr_bytes_clear(&driver->read);
    enum mr_status status =
        mr_options_from_texts(&arena, kafka_read_options, driver->pairs, &bind.options, err);
    if (status == MR_OK)
        status = mr_source_kafka.bind(&bind, &source, &info, err);
    if (status == MR_OK)
        status = read_splits(driver, source, &arena, commit);
    if (source != NULL)
        mr_source_kafka.close(source);
    mr_arena_reset(&arena);
    return status;
}

int main(int argc, char **argv)
{
    struct driver driver = {.pairs = NULL};
    const char **pairs = calloc((size_t)argc + 1, sizeof(char *));
    char line[64];
    if (pairs == NULL || argc % 2 == 0)
        return 2;
    for (int i = 1; i < argc; i++)
        pairs[i - 1] = argv[i];
    driver.pairs = pairs;
    fixture_init(&driver.f, 0);
    driver.f.runtime.parallelism = 2;
    driver.f.runtime.streaming = true;
    driver.f.runtime.common = mr_shared_new();
    mr_bytes_init(&driver.read, 1 << 24);
    while (fgets(line, sizeof line, stdin) != NULL) {
        int64_t wall = mr_clock_monotonic_micros(), cpu = cpu_micros();
        enum mr_status status = epoch(&driver, line[0] == 'e');
        wall = mr_clock_monotonic_micros() - wall;
        cpu = cpu_micros() - cpu;
        mr_bytes_char(&driver.read, '\0');
        if (status == MR_OK)
            printf("{\"rows\": %lld, \"read\": [%s], \"wall\": %lld, \"cpu\": %lld}\n",
                   (long long)driver.rows, driver.read.data, (long long)wall, (long long)cpu);
        else
            printf("{\"error\": \"%s\"}\n", driver.f.err.message);
        fflush(stdout);
    }
    mr_bytes_reset(&driver.read);
    mr_free(driver.place);
    mr_shared_free(driver.f.runtime.common);
    free(pairs);
    return fixture_reset(&driver.f);
}
