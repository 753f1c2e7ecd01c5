/*
 * Every allocation of columns, kernels and the Arrow border fails once (configure --enable-failpoints): each time the answer
 * must be "out of memory", with nothing charged and, under the address sanitizer, nothing leaked.
 *
 * MILLRACE_FAIL_ALLOC is read once a process, so each try is a child of its own; the parent allocates nothing.
 */
#include "col/arrow_abi.h"
#include "col/arrow_cdata.h"
#include "col/builder.h"
#include "col/kernel.h"

#include <stdio.h>
#include <stdlib.h>
#include <sys/wait.h>
#include <unistd.h>

static const char *const types[] = {
    "int",     "string",       "decimal(30,2)", "array<string>", "struct<a:int,b:array<double>>",
    "boolean", "decimal(5,1)", "uuid",          "void",          "map<string,int>"};
#define NTYPES (sizeof types / sizeof types[0])

/* One value; NULL for every fifth seed, never for keys and entries of maps (seed % 5 == 2). */
static enum mr_status fill(struct mr_builder *builder, int seed, struct mr_error *err)
{
    static const uint8_t uuid[16] = "0123456789abcde";
    if (seed % 5 == 0 || builder->layout == MR_LAYOUT_NONE)
        return mr_builder_null(builder, err);
    switch (builder->layout) {
    case MR_LAYOUT_BYTES:
        return mr_builder_bytes(builder, "some text", (size_t)(seed % 9), err);
    case MR_LAYOUT_F64:
        return mr_builder_double(builder, seed, err);
    case MR_LAYOUT_FIXED16:
        return mr_builder_fixed16(builder, uuid, err);
    case MR_LAYOUT_I128:
        return mr_builder_decimal(builder, seed, err);
    case MR_LAYOUT_STRUCT:
        for (int i = 0; i < builder->nchildren; i++)
            MR_TRY(fill(&builder->children[i], seed * 5 + 2, err));
        return mr_builder_struct(builder, err);
    case MR_LAYOUT_LIST:
        for (int i = 0; i < seed % 3; i++)
            MR_TRY(fill(&builder->children[0], (seed + i) * 5 + 2, err));
        return mr_builder_list(builder, err);
    default:
        return mr_builder_int(builder, seed & 1, err);
    }
}

static enum mr_status build(struct mr_memory *memory, const struct mr_type *type,
                            struct mr_column **out, struct mr_error *err)
{
    struct mr_builder builder;
    MR_TRY(mr_builder_init(&builder, memory, type, err));
    enum mr_status status = MR_OK;
    for (int i = 1; status == MR_OK && i < 100; i++)
        status = fill(&builder, i, err);
    if (status == MR_OK)
        status = mr_builder_finish(&builder, out, err);
    mr_builder_reset(&builder);
    return status;
}

/* A taken, a constant and a concatenated column of 60 rows. */
static enum mr_status three_columns(struct mr_memory *memory, struct mr_column *column,
                                    struct mr_column **out, struct mr_error *err)
{
    int32_t rows[60];
    struct mr_value value;
    struct mr_column *joined = NULL;
    for (int i = 0; i < 60; i++)
        rows[i] = i % 7 ? i : -1;
    mr_column_get(column, 1, &value);
    MR_TRY(mr_column_take(memory, column, rows, 60, &out[0], err));
    MR_TRY(mr_column_new_constant(memory, column->type, &value, 60, &out[1], err));
    MR_TRY(
        mr_column_concat(memory, (struct mr_column *[]){column, out[0], out[1]}, 3, &joined, err));
    enum mr_status status = mr_column_range(memory, joined, 50, 60, &out[2], err);
    mr_column_unref(joined);
    return status;
}

static enum mr_status through_arrow(struct mr_memory *memory, struct mr_arena *arena,
                                    struct mr_batch *batch, struct mr_error *err)
{
    struct ArrowSchema schema = {.release = NULL};
    struct ArrowArray array = {.release = NULL};
    const struct mr_schema *back;
    struct mr_batch *copy = NULL;
    enum mr_status status;
    MR_TRY_OUT(mr_arrow_export_schema(batch->schema, &schema, err));
    MR_TRY_OUT(mr_arrow_export_batch(batch, &array, err));
    MR_TRY_OUT(mr_arrow_import_schema(&schema, arena, &back, err));
    MR_TRY_OUT(mr_arrow_import_batch(&array, &schema, back, memory, &copy, err));
out:
    if (schema.release)
        schema.release(&schema);
    if (array.release)
        array.release(&array);
    mr_batch_unref(copy);
    return status;
}

static enum mr_status everything(const char *text, struct mr_memory *memory, struct mr_error *err)
{
    struct mr_arena arena;
    const struct mr_type *type;
    struct mr_column *column = NULL, *columns[3] = {NULL, NULL, NULL};
    struct mr_batch *batch = NULL, *slice = NULL, *joined = NULL;
    enum mr_status status;
    mr_arena_init(&arena, memory);
    MR_TRY_OUT(mr_type_parse(&arena, text, &type, err));
    MR_TRY_OUT(build(memory, type, &column, err));
    MR_TRY_OUT(three_columns(memory, column, columns, err));
    struct mr_field fields[] = {{.name = "x", .type = type, .nullable = true},
                                {.name = "y", .type = type, .nullable = true},
                                {.name = "z", .type = type, .nullable = true}};
    const struct mr_schema *schema = mr_schema_new(&arena, fields, 3);
    if (!schema) {
        status = mr_error_nomem(err);
        goto out;
    }
    status = mr_batch_new(schema, 60, columns, &batch, err);
    columns[0] = columns[1] = columns[2] = NULL;
    if (status != MR_OK)
        goto out;
    MR_TRY_OUT(mr_batch_slice(memory, batch, 10, 20, &slice, err));
    MR_TRY_OUT(mr_batch_concat(memory, (struct mr_batch *[]){batch, slice}, 2, &joined, err));
    MR_TRY_OUT(through_arrow(memory, &arena, joined, err));
out:
    for (int i = 0; i < 3; i++)
        mr_column_unref(columns[i]);
    mr_column_unref(column);
    mr_batch_unref(batch);
    mr_batch_unref(slice);
    mr_batch_unref(joined);
    mr_arena_reset(&arena);
    return status;
}

/* The exit status of a child in which allocation n fails: an enum mr_status, or 99 for bytes left charged. */
static int try_once(const char *type, int n)
{
    fflush(stdout);
    pid_t child = fork();
    if (child == 0) {
        struct mr_memory memory;
        struct mr_error err;
        char number[16];
        snprintf(number, sizeof number, "%d", n);
        setenv("MILLRACE_FAIL_ALLOC", number, 1);
        mr_memory_init(&memory, NULL, "test", INT64_MAX);
        int status = (int)everything(type, &memory, &err);
        exit(mr_memory_used(&memory) ? 99 : status);
    }
    int status;
    if (child < 0 || waitpid(child, &status, 0) != child)
        return 98;
    return WIFEXITED(status) ? WEXITSTATUS(status) : 97;
}

int main(void)
{
#ifdef MR_ENABLE_FAILPOINTS
    const bool injected = true;
#else
    const bool injected = false;
#endif
    for (size_t t = 0; t < NTYPES; t++) {
        /* 0 never fails: without injection the code runs once. */
        int n = injected, status = MR_NOMEM;
        while ((status = try_once(types[t], n)) == MR_NOMEM && injected)
            n++;
        printf("%s: %d failures, then status %d\n", types[t], n - injected, status);
        if (status != MR_OK)
            return 1;
    }
    if (!injected)
        printf("skipped: no failures without configure --enable-failpoints\n");
    return injected ? 0 : 77;
}
