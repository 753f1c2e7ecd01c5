/*
 * parquet_read.c - reads Parquet files through the format contract and prints all that comes, for test_parquet.py and others.
 *
 *     parquet_read [--schema TEXT] [--ids] [--batch N] [--range OFFSET SIZE] [--positions] [--memory BYTES] [--quiet]
 *                  [--floor] [--where COLUMN OP VALUE]... FILE...
 *
 * The first line is the list of columns, [name, type]; then a line a row; the values in the form of parquet_make. --ids:
 * field number i of the schema has id i + 1, and fields are found by id. --where: OP is =, <>, <, <=, >, >= or null; numbers
 * as for the columns of whole numbers and dates, else as text. Errors go to standard error and end with 1. Every
 * column is checked for its invariants, and at the end all memory must be given back.
 */
#include "base/text.h"
#include "codec/codecs.h"
#include "ext/registry.h"
#include "format/parquet/parquet.h"

#include <inttypes.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>

struct arguments {
    const char *schema;
    bool ids;
    bool quiet;
    bool positions;
    bool floor;
    int64_t batch;
    int64_t memory;
    struct mr_file_range range;
    const char *const *where[8]; /* column, op, value */
    int nwhere;
};

struct file_source {
    struct mr_byte_source base;
    FILE *file;
    int64_t bytes;
    int64_t reads;
};

static enum mr_status read_file(struct mr_byte_source *base, int64_t offset, void *out, size_t size,
                                struct mr_error *err)
{
    struct file_source *source = (struct file_source *)(void *)base;
    if (fseek(source->file, (long)offset, SEEK_SET) != 0 ||
        fread(out, 1, size, source->file) != size)
        return mr_error_data(err, MR_SOURCE, "%s: cut", base->name);
    source->bytes += (int64_t)size;
    source->reads++;
    return MR_OK;
}

static enum mr_status read_many(struct mr_byte_source *base, const struct mr_byte_read *reads,
                                int nreads, struct mr_error *err)
{
    for (int i = 0; i < nreads; i++)
        MR_TRY(read_file(base, reads[i].offset, reads[i].out, reads[i].size, err));
    return MR_OK;
}

/* ---- values ---- */

static void hex(struct mr_bytes *out, const void *data, size_t size)
{
    mr_bytes_char(out, '"');
    for (size_t i = 0; i < size; i++)
        mr_bytes_printf(out, "%02x", ((const uint8_t *)data)[i]);
    mr_bytes_char(out, '"');
}

static void print_double(const struct mr_value *value, struct mr_bytes *out)
{
    float narrow = (float)value->u.f64;
    uint32_t bits;
    uint64_t wide;
    memcpy(&bits, &narrow, 4);
    memcpy(&wide, &value->u.f64, 8);
    if (value->type->id == MR_TYPE_FLOAT32)
        mr_bytes_printf(out, "\"%08" PRIx32 "\"", isnan(narrow) ? UINT32_C(0x7fc00000) : bits);
    else
        mr_bytes_printf(out, "\"%016" PRIx64 "\"",
                        isnan(value->u.f64) ? UINT64_C(0x7ff8000000000000) : wide);
}

static void print_row(const struct mr_column *column, int64_t row, struct mr_bytes *out);

static void print_list(const struct mr_column *column, int64_t row, struct mr_bytes *out)
{
    const int32_t *offsets = mr_column_offsets(column);
    mr_bytes_char(out, '[');
    for (int32_t i = offsets[row]; i < offsets[row + 1]; i++) {
        if (i > offsets[row])
            mr_bytes_char(out, ',');
        print_row(column->children[0], i, out);
    }
    mr_bytes_char(out, ']');
}

static void print_struct(const struct mr_column *column, int64_t row, struct mr_bytes *out)
{
    mr_bytes_char(out, '[');
    for (int i = 0; i < column->nchildren; i++) {
        if (i > 0)
            mr_bytes_char(out, ',');
        print_row(column->children[i], row, out);
    }
    mr_bytes_char(out, ']');
}

static void print_scalar(const struct mr_value *value, struct mr_bytes *out)
{
    char digits[MR_DECIMAL_TEXT_MAX];
    const struct mr_interval *interval = &value->u.interval;
    switch (value->type->id) {
    case MR_TYPE_BOOL:
        mr_bytes_text(out, value->u.i64 ? "true" : "false");
        break;
    case MR_TYPE_FLOAT32:
    case MR_TYPE_FLOAT64:
        print_double(value, out);
        break;
    case MR_TYPE_DECIMAL:
        mr_decimal_format(value->u.i128, value->type->scale, digits);
        mr_bytes_printf(out, "\"%s\"", digits);
        break;
    case MR_TYPE_INTERVAL:
        mr_bytes_printf(out, "[%" PRId32 ",%" PRId32 ",%" PRId64 "]", interval->months,
                        interval->days, interval->micros);
        break;
    case MR_TYPE_STRING:
    case MR_TYPE_JSON:
        mr_bytes_json_string(out, value->u.bytes.data, value->u.bytes.size);
        break;
    case MR_TYPE_BINARY:
        hex(out, value->u.bytes.data, value->u.bytes.size);
        break;
    case MR_TYPE_UUID:
        hex(out, value->u.uuid, 16);
        break;
    default:
        mr_bytes_printf(out, "%" PRId64, value->u.i64);
    }
}

static void print_row(const struct mr_column *column, int64_t row, struct mr_bytes *out)
{
    struct mr_value value;
    mr_column_get(column, row, &value);
    if (value.is_null)
        mr_bytes_text(out, "null");
    else if (value.type->id == MR_TYPE_STRUCT)
        print_struct(value.u.nested.column, value.u.nested.row, out);
    else if (mr_type_is_nested(value.type))
        print_list(value.u.nested.column, value.u.nested.row, out);
    else
        print_scalar(&value, out);
}

static void print_type(const struct mr_type *type, struct mr_bytes *out)
{
    char text[256];
    if (!mr_type_is_nested(type)) {
        mr_bytes_printf(out, "\"%s\"", mr_type_text(type, text, sizeof text));
        return;
    }
    mr_bytes_text(out, type->id == MR_TYPE_LIST  ? "[\"list\""
                       : type->id == MR_TYPE_MAP ? "[\"map\""
                                                 : "[\"struct\"");
    for (int i = 0; i < type->nfields; i++) {
        mr_bytes_char(out, ',');
        print_type(type->fields[i].type, out);
    }
    mr_bytes_char(out, ']');
}

static void print_schema(const struct mr_schema *schema, struct mr_bytes *out)
{
    mr_bytes_char(out, '[');
    for (int i = 0; i < schema->nfields; i++) {
        mr_bytes_text(out, i == 0 ? "[" : ",[");
        mr_bytes_json_string(out, schema->fields[i].name, strlen(schema->fields[i].name));
        mr_bytes_char(out, ',');
        print_type(schema->fields[i].type, out);
        mr_bytes_char(out, ']');
    }
    mr_bytes_text(out, "]\n");
}

static void flush(struct mr_bytes *out)
{
    if (out->size > 0)
        fwrite(out->data, 1, out->size, stdout);
    mr_bytes_clear(out);
}

static enum mr_status print_batch(const struct mr_batch *batch, bool quiet, struct mr_bytes *out,
                                  struct mr_error *err)
{
    for (int c = 0; c < batch->schema->nfields; c++)
        MR_TRY(mr_column_check(batch->columns[c], err));
    for (int64_t r = 0; !quiet && r < batch->rows; r++) {
        for (int c = 0; c < batch->schema->nfields; c++) {
            mr_bytes_char(out, c == 0 ? '[' : ',');
            print_row(batch->columns[c], r, out);
        }
        mr_bytes_text(out, batch->schema->nfields ? "]\n" : "[]\n");
        if (out->size > (1 << 20))
            flush(out);
    }
    flush(out);
    return MR_OK;
}

/* ---- files ---- */

static enum mr_status wanted_schema(const struct arguments *arguments, struct mr_arena *arena,
                                    const struct mr_schema **out, struct mr_error *err)
{
    *out = NULL;
    if (arguments->schema == NULL)
        return MR_OK;
    if (arguments->schema[0] == '\0') {
        *out = mr_schema_new(arena, NULL, 0);
        return MR_OK;
    }
    MR_TRY(mr_schema_parse(arena, arguments->schema, out, err));
    struct mr_field *fields = mr_arena_calloc(arena, (size_t)(*out)->nfields, sizeof *fields);
    for (int i = 0; i < (*out)->nfields; i++) {
        fields[i] = (*out)->fields[i];
        fields[i].id = arguments->ids ? i + 1 : 0;
    }
    *out = mr_schema_new(arena, fields, (*out)->nfields);
    return MR_OK;
}

/* The conditions, over the columns of `schema`. */
static enum mr_status make_predicates(const struct arguments *arguments,
                                      const struct mr_schema *schema, struct mr_arena *arena,
                                      const struct mr_predicate **out, struct mr_error *err)
{
    static const char *const compares[] = {"=", "<>", "<", "<=", ">", ">="};
    for (int i = 0; i < arguments->nwhere; i++) {
        struct mr_predicate *predicate = mr_arena_calloc(arena, 1, sizeof *predicate);
        struct mr_value *value = mr_arena_calloc(arena, 1, sizeof *value);
        const char *text = arguments->where[i][2];
        *predicate = (struct mr_predicate){.kind = MR_PREDICATE_IS_NULL, .values = value};
        predicate->column = mr_schema_find(schema, arguments->where[i][0]);
        if (predicate->column < 0)
            return mr_error_config(err, "no column %s", arguments->where[i][0]);
        value->type = schema->fields[predicate->column].type;
        for (int k = 0; k < 6; k++) {
            if (strcmp(arguments->where[i][1], compares[k]) == 0) {
                predicate->kind = MR_PREDICATE_COMPARE;
                predicate->compare = (enum mr_compare)k;
                predicate->nvalues = 1;
            }
        }
        if (mr_type_layout(value->type) == MR_LAYOUT_BYTES)
            value->u.bytes = mr_slice_of(text);
        else if (value->type->id == MR_TYPE_DECIMAL)
            mr_decimal_parse(text, strlen(text), value->type->precision, value->type->scale,
                             &value->u.i128);
        else if (value->type->id == MR_TYPE_FLOAT32 || value->type->id == MR_TYPE_FLOAT64)
            mr_text_to_double(mr_slice_of(text), false, &value->u.f64);
        else
            mr_text_to_int64(mr_slice_of(text), false, &value->u.i64);
        out[i] = predicate;
    }
    return MR_OK;
}

static enum mr_status read_all(const struct arguments *arguments, struct mr_format_read *read,
                               struct mr_arena *arena, struct mr_error *err)
{
    struct mr_bytes out;
    struct mr_file_info info;
    struct mr_batch *batch = NULL;
    void *reader = NULL;
    mr_bytes_init(&out, (size_t)1 << 30);
    enum mr_status status = mr_format_parquet.probe(read, arena, &info, err);
    if (status == MR_OK)
        print_schema(info.schema, &out);
    flush(&out);
    const struct mr_predicate *predicates[8];
    if (status == MR_OK)
        status = make_predicates(arguments, info.schema, arena, predicates, err);
    read->predicates = predicates;
    read->npredicates = arguments->nwhere;
    if (status == MR_OK)
        status = mr_format_parquet.read_open(read, &arguments->range, &reader, err);
    while (status == MR_OK) {
        status = mr_format_parquet.read_next(reader, &batch, err);
        if (status != MR_OK || batch == NULL)
            break;
        status = print_batch(batch, arguments->quiet, &out, err);
        mr_batch_unref(batch);
    }
    mr_format_parquet.read_close(reader);
    mr_bytes_reset(&out);
    return status;
}

static enum mr_status read_path(const struct arguments *arguments, const char *path,
                                struct mr_error *err)
{
    static const struct mr_codec *const codecs[] = {&mr_codec_snappy, &mr_codec_zstd,
                                                    &mr_codec_gzip,   &mr_codec_lz4,
                                                    &mr_codec_none,   NULL};
    static struct mr_counters counters;
    struct mr_registry registry = {.codecs = codecs};
    struct mr_waiter waiter = mr_waiter_plain();
    struct mr_memory memory;
    struct mr_arena arena;
    mr_memory_init(&memory, NULL, "test", arguments->memory);
    mr_arena_init(&arena, NULL);
    struct mr_runtime runtime = {.waiter = &waiter,
                                 .memory = &memory,
                                 .counters = &counters,
                                 .registry = &registry,
                                 .batch_rows = arguments->batch};
    struct file_source source = {
        .base = {.name = path, .read = read_file, .read_many = read_many},
        .file = fopen(path, "rb"),
    };
    if (source.file == NULL)
        return mr_error_data(err, MR_SOURCE, "%s: cannot be opened", path);
    fseek(source.file, 0, SEEK_END);
    source.base.size = ftell(source.file);
    struct mr_format_read read = {
        .source = &source.base,
        .resolve = arguments->ids ? MR_RESOLVE_ID : MR_RESOLVE_NAME,
        .row_positions = arguments->positions,
        .runtime = &runtime,
    };
    const char *const pairs[] = {"nanoseconds", arguments->floor ? "floor" : "fail", NULL};
    enum mr_status status =
        mr_options_from_texts(&arena, mr_format_parquet.options, pairs, &read.options, err);
    if (status == MR_OK)
        status = wanted_schema(arguments, &arena, &read.schema, err);
    if (status == MR_OK)
        status = read_all(arguments, &read, &arena, err);
    fclose(source.file);
    mr_arena_reset(&arena);
    if (mr_memory_used(&memory) != 0) {
        fprintf(stderr, "memory that was not given back: %" PRId64 "\n", mr_memory_used(&memory));
        exit(3);
    }
    fprintf(stderr, "peak %" PRId64 " bytes %" PRId64 " reads %" PRId64 " skipped %" PRId64 "\n",
            mr_memory_peak(&memory), source.bytes, source.reads,
            (int64_t)atomic_load(&counters.value[MR_COUNT_BYTES_SKIPPED]));
    return status;
}

int main(int argc, char **argv)
{
    struct arguments arguments = {.memory = INT64_MAX, .range = {0, INT64_MAX}};
    int i = 1;
    for (; i < argc && strncmp(argv[i], "--", 2) == 0; i++) {
        const char *name = argv[i] + 2;
        if (strcmp(name, "ids") == 0)
            arguments.ids = true;
        else if (strcmp(name, "quiet") == 0)
            arguments.quiet = true;
        else if (strcmp(name, "positions") == 0)
            arguments.positions = true;
        else if (strcmp(name, "floor") == 0)
            arguments.floor = true;
        else if (strcmp(name, "where") == 0 && i + 3 < argc && arguments.nwhere < 8) {
            arguments.where[arguments.nwhere++] = (const char *const *)&argv[i + 1];
            i += 3;
        } else if (strcmp(name, "schema") == 0 && i + 1 < argc)
            arguments.schema = argv[++i];
        else if (strcmp(name, "batch") == 0 && i + 1 < argc)
            arguments.batch = atoll(argv[++i]);
        else if (strcmp(name, "memory") == 0 && i + 1 < argc)
            arguments.memory = atoll(argv[++i]);
        else if (strcmp(name, "range") == 0 && i + 2 < argc) {
            arguments.range.offset = atoll(argv[++i]);
            arguments.range.size = atoll(argv[++i]);
        } else
            return 2;
    }
    for (; i < argc; i++) {
        struct mr_error err = {0};
        if (read_path(&arguments, argv[i], &err) == MR_OK)
            continue;
        fprintf(stderr, "%s: %s%s%s\n", mr_status_name(err.status), err.message,
                err.hint[0] ? "; " : "", err.hint);
        return 1;
    }
    return 0;
}
