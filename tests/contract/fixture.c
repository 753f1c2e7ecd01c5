/*
 * fixture.c - the helpers.
 */
#ifndef _GNU_SOURCE
#define _GNU_SOURCE
#endif
#include "contract/fixture.h"

#include "base/text.h"
#include "col/builder.h"

#include <dirent.h>
#include <ftw.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <unistd.h>

void fixture_ok(enum mr_status status, const struct mr_error *err, const char *file, int line)
{
    if (status == MR_OK)
        return;
    fprintf(stderr, "%s:%d: %s: %s (%s) %s\n", file, line, mr_status_name(status), err->message,
            err->where, err->hint);
    abort();
}

void fixture_init(struct fixture *fixture, int64_t memory_limit)
{
    memset(fixture, 0, sizeof *fixture);
    mr_memory_init(&fixture->memory, NULL, "test", memory_limit ? memory_limit : INT64_MAX);
    fixture->waiter = mr_waiter_plain();
    mr_arena_init(&fixture->arena, NULL);
    const char *base = getenv("TMPDIR");
    /* In memory where that is to be had: thousands of fsyncs are part of what is tested. */
    if (!base)
        base = access("/dev/shm", W_OK) == 0 ? "/dev/shm" : "/tmp";
    snprintf(fixture->directory, sizeof fixture->directory, "%s/millrace-test-XXXXXX", base);
    if (!mkdtemp(fixture->directory))
        abort();
    fixture->runtime = (struct mr_runtime){
        .waiter = &fixture->waiter,
        .memory = &fixture->memory,
        .counters = &fixture->counters,
        .registry = &fixture->registry,
        .temp_dir = fixture->directory,
        .run_id = "run",
        .state_uuid = "6f1c2f3a000040008000000000000001",
        .state_key = "test",
        .pipeline_dir = fixture->directory,
        .parallelism = 1,
        .time_zone = "UTC",
    };
}

static int remove_one(const char *path, const struct stat *info, int kind, struct FTW *walk)
{
    (void)info;
    (void)kind;
    (void)walk;
    return remove(path);
}

int fixture_reset(struct fixture *fixture)
{
    nftw(fixture->directory, remove_one, 16, FTW_DEPTH | FTW_PHYS);
    mr_arena_reset(&fixture->arena);
    int64_t left = mr_memory_used(&fixture->memory);
    if (left != 0)
        fprintf(stderr, "%lld bytes are still charged\n", (long long)left);
    return left != 0;
}

const struct mr_schema *fixture_schema(struct fixture *fixture, const char *text)
{
    const struct mr_schema *schema;
    FIXTURE_OK(fixture, mr_schema_parse(&fixture->arena, text, &schema, &fixture->err));
    return schema;
}

static enum mr_status add_value(struct mr_builder *builder, struct mr_slice text,
                                struct mr_error *err)
{
    int64_t integer = 0;
    double number = 0;
    mr_int128 decimal = 0;
    if (text.size == 1 && text.data[0] == '~')
        return mr_builder_null(builder, err);
    switch (builder->type->id) {
    case MR_TYPE_STRING:
    case MR_TYPE_JSON:
    case MR_TYPE_BINARY:
        return mr_builder_bytes(builder, text.data, text.size, err);
    case MR_TYPE_FLOAT32:
    case MR_TYPE_FLOAT64:
        if (!mr_text_to_double(text, true, &number))
            return mr_error_internal(err, "not a number: %.*s", (int)text.size, text.data);
        return mr_builder_double(builder, number, err);
    case MR_TYPE_DECIMAL:
        if (!mr_decimal_parse(text.data, text.size, builder->type->precision, builder->type->scale,
                              &decimal))
            return mr_error_internal(err, "not a decimal: %.*s", (int)text.size, text.data);
        return mr_builder_decimal(builder, decimal, err);
    default:
        if (!mr_text_to_int64(text, true, &integer))
            return mr_error_internal(err, "not an integer: %.*s", (int)text.size, text.data);
        return mr_builder_int(builder, integer, err);
    }
}

struct mr_batch *fixture_batch(struct fixture *fixture, const char *text, const char *const *rows)
{
    const struct mr_schema *schema = fixture_schema(fixture, text);
    struct mr_builder builders[32];
    struct mr_column *columns[32];
    int64_t count = 0;
    for (int i = 0; i < schema->nfields; i++)
        FIXTURE_OK(fixture, mr_builder_init(&builders[i], &fixture->memory, schema->fields[i].type,
                                            &fixture->err));
    for (; rows[count]; count++) {
        const char *at = rows[count];
        for (int i = 0; i < schema->nfields; i++) {
            const char *end = strchrnul(at, '|');
            struct mr_slice value = {at, (size_t)(end - at)};
            FIXTURE_OK(fixture, add_value(&builders[i], value, &fixture->err));
            at = *end ? end + 1 : end;
        }
    }
    for (int i = 0; i < schema->nfields; i++) {
        FIXTURE_OK(fixture, mr_builder_finish(&builders[i], &columns[i], &fixture->err));
        mr_builder_reset(&builders[i]);
    }
    struct mr_batch *batch;
    FIXTURE_OK(fixture, mr_batch_new(schema, count, columns, &batch, &fixture->err));
    return batch;
}

char *fixture_read(struct fixture *fixture, const char *path, size_t *size)
{
    FILE *file = fopen(path, "rb");
    if (!file)
        return NULL;
    fseek(file, 0, SEEK_END);
    long length = ftell(file);
    rewind(file);
    char *data = mr_arena_alloc(&fixture->arena, (size_t)length + 1);
    size_t got = data ? fread(data, 1, (size_t)length, file) : 0;
    fclose(file);
    if (!data || got != (size_t)length)
        abort();
    data[length] = '\0';
    if (size)
        *size = (size_t)length;
    return data;
}

static void add_tree(struct mr_bytes *out, const char *root, const char *path)
{
    char full[1024];
    snprintf(full, sizeof full, "%s/%s", root, path);
    struct dirent **names;
    int count = scandir(full, &names, NULL, alphasort);
    for (int i = 0; i < count; i++) {
        const char *name = names[i]->d_name;
        char below[2048];
        snprintf(below, sizeof below, "%s%s%s", path, *path ? "/" : "", name);
        snprintf(full, sizeof full, "%s/%.700s", root, below);
        struct stat info;
        if (strcmp(name, ".") != 0 && strcmp(name, "..") != 0 && stat(full, &info) == 0) {
            if (S_ISDIR(info.st_mode))
                add_tree(out, root, below);
            else
                mr_bytes_printf(out, "%s\n", below);
        }
        free(names[i]);
    }
    if (count >= 0)
        free(names);
}

char *fixture_tree(struct fixture *fixture, const char *directory)
{
    struct mr_bytes out;
    mr_bytes_init(&out, MR_BYTES_DEFAULT_MAXIMUM);
    add_tree(&out, directory, "");
    char *text = mr_arena_strndup(&fixture->arena, out.size ? out.data : "", out.size);
    mr_bytes_reset(&out);
    return text;
}
