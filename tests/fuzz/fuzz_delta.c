/*
 * fuzz_delta.c - any bytes as parts of a Delta log: values or an error that says something; never a crash or a leak.
 *
 * The first byte chooses: a log file (its schema, partition values and statistics are looked at too), the bytes of a deletion
 * vector, a vector as text, the name of a log file and a path.
 */
#include "connect/delta/private.h"
#include "connect/delta/value.h"
#include "connect/delta/vector.h"

#include <stdlib.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static struct mr_counters counters;

static void check(enum mr_status status, const struct mr_error *err)
{
    if (status != MR_OK && err->message[0] == '\0')
        abort();
}

static void look_at(const struct delta_metadata *metadata, const struct delta_file *file)
{
    struct delta_statistics *statistics;
    if (delta_statistics_new(metadata, NULL, &statistics, NULL) != MR_OK)
        abort();
    delta_statistics_file(statistics, file);
    delta_statistics_rows(statistics);
    for (int i = 0; i < metadata->schema->nfields; i++) {
        struct mr_part_column column;
        delta_statistics_column(statistics, i, &column);
        if (column.has_minimum && column.minimum.type->id != metadata->schema->fields[i].type->id)
            abort();
    }
    delta_statistics_free(statistics);
}

static void read_log(const struct delta_table *table, struct mr_slice text, struct mr_arena *arena)
{
    struct mr_error err = {0};
    struct delta_actions actions;
    enum mr_status status = delta_actions_parse(table, "log", text, 0, arena, &actions, &err);
    check(status, &err);
    if (status != MR_OK)
        return;
    struct delta_replay replay;
    check(delta_replay_init(&replay, arena, &err), &err);
    check(delta_replay_actions(&replay, &actions, &err), &err);
    if (replay.protocol)
        check(delta_check_readable(replay.protocol, "t", &err), &err);
    if (!replay.metadata)
        return;
    status = delta_schema_read(arena, replay.metadata, &err);
    check(status, &err);
    for (int64_t i = 0; status == MR_OK && i < replay.count; i++) {
        check(delta_entry_resolve(replay.entries[i], replay.metadata, arena, &err), &err);
        look_at(replay.metadata, &replay.entries[i]->file);
    }
}

static void read_deleted(struct mr_slice bytes, struct mr_arena *arena)
{
    struct mr_error err = {0};
    struct delta_deleted deleted;
    enum mr_status status = delta_deleted_parse(bytes.data, bytes.size, arena, &deleted, &err);
    check(status, &err);
    struct delta_deleted_cursor cursor = {0};
    int64_t found = 0;
    for (uint64_t row = 0; status == MR_OK && row < 140000; row++)
        found += delta_deleted_has(&deleted, &cursor, row);
    if (status == MR_OK && found > deleted.cardinality)
        abort();
}

static void read_text(const struct delta_table *table, const char *text, struct mr_arena *arena)
{
    struct mr_error err = {0};
    struct delta_deleted deleted;
    struct delta_vector vector = {.storage = 'i',
                                  .text = text,
                                  .size = (int64_t)strlen(text) / 5 * 4,
                                  .cardinality = 1};
    check(delta_vector_load(table, &vector, arena, &deleted, &err), &err);
    vector.storage = 'u';
    delta_vector_path(&vector, "/t", arena);
    struct delta_log_file file;
    delta_log_name(text, &file);
    if (!delta_path_decode(arena, mr_slice_of(text), "s3://b/t"))
        abort();
    static const enum mr_type_id types[] = {MR_TYPE_INT32,     MR_TYPE_FLOAT64,       MR_TYPE_DATE,
                                            MR_TYPE_TIMESTAMP, MR_TYPE_TIMESTAMP_NTZ, MR_TYPE_BOOL};
    struct mr_value value;
    for (size_t i = 0; i < sizeof types / sizeof *types; i++)
        delta_value_parse(mr_type_of(types[i]), text, NULL, &value);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    if (size == 0)
        return 0;
    struct mr_memory memory;
    struct mr_arena arena;
    mr_memory_init(&memory, NULL, "fuzz", (int64_t)1 << 30);
    mr_arena_init(&arena, &memory);
    struct mr_runtime runtime = {.memory = &memory, .counters = &counters};
    struct delta_table table = {.text = "t", .url = "/t", .runtime = &runtime};
    /* a copy of exactly this size: reading past it is found */
    char *copy = mr_alloc(size);
    memcpy(copy, data + 1, size - 1);
    copy[size - 1] = '\0';
    struct mr_slice rest = {copy, size - 1};
    if (data[0] % 3 == 0)
        read_log(&table, rest, &arena);
    else if (data[0] % 3 == 1)
        read_deleted(rest, &arena);
    else
        read_text(&table, copy, &arena);
    mr_free(copy);
    mr_arena_reset(&arena);
    if (mr_memory_used(&memory) != 0)
        abort();
    return 0;
}
