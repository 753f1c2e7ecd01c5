/*
 * meta.c - finding and parsing the footer.
 *
 * One read of the last 64 KiB has the whole footer of most files, of small ones one of 8 KiB (a thousand files are asked for their
 * schema where one is read); a longer one takes a second read. What it says is
 * checked here as far as it can be without the pages: counts against the schema, offsets and sizes against the file.
 * Chunks are kept in the order of the schema's leaves, which is how every row group must have them.
 */
#include "format/parquet/meta.h"

#define TAIL_LEAST   ((int64_t)8 << 10)
#define TAIL_MOST    ((int64_t)64 << 10)
#define TAIL_SHARE   1024 /* of the file */
#define FOOTER_MAX   ((int64_t)256 << 20)
#define ELEMENTS_MAX 1000000

static enum mr_status bad(const struct mr_pq_file *file, const char *what, struct mr_error *err)
{
    return mr_error_data(err, MR_SOURCE, "%s: not a readable Parquet file: %s", file->name, what);
}

/* ---- schema elements ---- */

static void from_converted(struct mr_pq_element *element, int converted)
{
    static const struct {
        enum mr_pq_logical logical;
        int detail; /* unit or bits; negative bits = unsigned */
    } rows[] = {
        {MR_PQ_L_STRING, 0},
        {MR_PQ_L_MAP, 0},
        {MR_PQ_L_MAP_KEY_VALUE, 0},
        {MR_PQ_L_LIST, 0},
        {MR_PQ_L_ENUM, 0},
        {MR_PQ_L_DECIMAL, 0},
        {MR_PQ_L_DATE, 0},
        {MR_PQ_L_TIME, MR_PQ_MILLIS},
        {MR_PQ_L_TIME, MR_PQ_MICROS},
        {MR_PQ_L_TIMESTAMP, MR_PQ_MILLIS},
        {MR_PQ_L_TIMESTAMP, MR_PQ_MICROS},
        {MR_PQ_L_INTEGER, -8},
        {MR_PQ_L_INTEGER, -16},
        {MR_PQ_L_INTEGER, -32},
        {MR_PQ_L_INTEGER, -64},
        {MR_PQ_L_INTEGER, 8},
        {MR_PQ_L_INTEGER, 16},
        {MR_PQ_L_INTEGER, 32},
        {MR_PQ_L_INTEGER, 64},
        {MR_PQ_L_JSON, 0},
        {MR_PQ_L_BSON, 0},
        {MR_PQ_L_INTERVAL, 0},
    };
    if (converted < 0 || converted >= (int)(sizeof rows / sizeof *rows))
        return;
    element->logical = rows[converted].logical;
    int detail = rows[converted].detail;
    if (element->logical == MR_PQ_L_INTEGER) {
        element->is_signed = detail > 0;
        element->bits = detail > 0 ? detail : -detail;
    } else {
        element->unit = (enum mr_pq_unit)detail;
        element->utc = true;
    }
}

static void parse_unit(struct mr_thrift_in *in, struct mr_pq_element *element)
{
    struct mr_thrift_field field = {0};
    while (mr_thrift_in_field(in, &field)) {
        element->unit = (enum mr_pq_unit)(field.id - 1);
        mr_thrift_in_skip(in, field.type);
    }
}

/* The struct inside the union, by what it is for. */
static void parse_logical_detail(struct mr_thrift_in *in, struct mr_pq_element *element)
{
    struct mr_thrift_field field = {0};
    enum mr_pq_logical logical = element->logical;
    bool decimal = logical == MR_PQ_L_DECIMAL, integer = logical == MR_PQ_L_INTEGER;
    bool time = logical == MR_PQ_L_TIME || logical == MR_PQ_L_TIMESTAMP;
    while (mr_thrift_in_field(in, &field)) {
        if (decimal && field.id == 1)
            element->scale = (int)mr_thrift_in_int(in, &field);
        else if (decimal && field.id == 2)
            element->precision = (int)mr_thrift_in_int(in, &field);
        else if (integer && field.id == 1)
            element->bits = (int)mr_thrift_in_int(in, &field);
        else if (integer && field.id == 2)
            element->is_signed = mr_thrift_in_bool(in, &field);
        else if (time && field.id == 1)
            element->utc = mr_thrift_in_bool(in, &field);
        else if (time && field.id == 2 && mr_thrift_in_struct(in, &field))
            parse_unit(in, element);
        else
            mr_thrift_in_skip(in, field.type);
    }
}

/* A kind that is not known (yet) leaves the ConvertedType in force, or the bare physical type. */
static void parse_logical(struct mr_thrift_in *in, struct mr_pq_element *element)
{
    static const enum mr_pq_logical kinds[] = {
        [1] = MR_PQ_L_STRING,    [2] = MR_PQ_L_MAP,        [3] = MR_PQ_L_LIST,
        [4] = MR_PQ_L_ENUM,      [5] = MR_PQ_L_DECIMAL,    [6] = MR_PQ_L_DATE,
        [7] = MR_PQ_L_TIME,      [8] = MR_PQ_L_TIMESTAMP,  [10] = MR_PQ_L_INTEGER,
        [11] = MR_PQ_L_UNKNOWN,  [12] = MR_PQ_L_JSON,      [13] = MR_PQ_L_BSON,
        [14] = MR_PQ_L_UUID,     [15] = MR_PQ_L_FLOAT16,   [16] = MR_PQ_L_VARIANT,
        [17] = MR_PQ_L_GEOMETRY, [18] = MR_PQ_L_GEOGRAPHY,
    };
    struct mr_thrift_field field = {0};
    while (mr_thrift_in_field(in, &field)) {
        bool known = field.id > 0 && field.id < (int)(sizeof kinds / sizeof *kinds) &&
                     kinds[field.id] != MR_PQ_L_NONE;
        if (!known || field.type != MR_THRIFT_STRUCT) {
            mr_thrift_in_skip(in, field.type);
            continue;
        }
        element->logical = kinds[field.id];
        parse_logical_detail(in, element);
    }
}

static char *keep_text(struct mr_arena *arena, struct mr_slice text)
{
    return mr_arena_strndup(arena, text.data, text.size);
}

static bool parse_element(struct mr_thrift_in *in, struct mr_arena *arena,
                          struct mr_pq_element *element)
{
    struct mr_thrift_field field = {0};
    int converted = -1;
    struct mr_pq_element annotated = {0};
    *element = (struct mr_pq_element){.type = -1, .name = ""};
    while (mr_thrift_in_field(in, &field)) {
        switch (field.id) {
        case 1:
            element->type = (int)mr_thrift_in_int(in, &field);
            break;
        case 2:
            element->length = (int)mr_thrift_in_int(in, &field);
            break;
        case 3:
            element->repetition = (int)mr_thrift_in_int(in, &field);
            break;
        case 4:
            element->name = keep_text(arena, mr_thrift_in_bytes(in, &field));
            break;
        case 5:
            element->nchildren = (int)mr_thrift_in_int(in, &field);
            break;
        case 6:
            converted = (int)mr_thrift_in_int(in, &field);
            break;
        case 7:
            element->scale = (int)mr_thrift_in_int(in, &field);
            break;
        case 8:
            element->precision = (int)mr_thrift_in_int(in, &field);
            break;
        case 9:
            element->id = (int)mr_thrift_in_int(in, &field);
            break;
        case 10:
            if (mr_thrift_in_struct(in, &field))
                parse_logical(in, &annotated);
            break;
        default:
            mr_thrift_in_skip(in, field.type);
        }
    }
    from_converted(element, converted);
    if (annotated.logical != MR_PQ_L_NONE) {
        element->logical = annotated.logical;
        element->unit = annotated.unit;
        element->utc = annotated.utc;
        element->bits = annotated.bits;
        element->is_signed = annotated.is_signed;
        if (annotated.logical == MR_PQ_L_DECIMAL) {
            element->scale = annotated.scale;
            element->precision = annotated.precision;
        }
    }
    return element->name != NULL;
}

static enum mr_status parse_elements(struct mr_thrift_in *in, const struct mr_thrift_field *field,
                                     struct mr_arena *arena, struct mr_pq_file *file,
                                     struct mr_error *err)
{
    size_t count = mr_thrift_in_list(in, field, MR_THRIFT_STRUCT);
    if (count > ELEMENTS_MAX)
        return bad(file, "its schema has more than a million elements", err);
    file->elements = mr_arena_calloc(arena, count + 1, sizeof *file->elements);
    if (file->elements == NULL)
        return mr_error_nomem(err);
    for (size_t i = 0; i < count && !in->bad; i++) {
        if (!parse_element(in, arena, &file->elements[i]))
            return mr_error_nomem(err);
        const struct mr_pq_element *element = &file->elements[i];
        if (element->type > MR_PQ_T_FIXED || element->type < -1 || element->nchildren < 0 ||
            element->repetition < 0 || element->repetition > MR_PQ_REPEATED ||
            (element->type >= 0 && element->nchildren > 0) || element->length < 0)
            return bad(file, "a schema element makes no sense", err);
        file->nleaves += element->type >= 0;
    }
    file->nelements = (int)count;
    return MR_OK;
}

/* ---- row groups ---- */

static void parse_statistics(struct mr_thrift_in *in, struct mr_pq_statistics *out)
{
    struct mr_thrift_field field = {0};
    while (mr_thrift_in_field(in, &field)) {
        switch (field.id) {
        case 1:
            out->old_maximum = mr_thrift_in_bytes(in, &field);
            break;
        case 2:
            out->old_minimum = mr_thrift_in_bytes(in, &field);
            break;
        case 3:
            out->nulls = mr_thrift_in_int(in, &field);
            break;
        case 5:
            out->maximum = mr_thrift_in_bytes(in, &field);
            break;
        case 6:
            out->minimum = mr_thrift_in_bytes(in, &field);
            break;
        case 9:
            out->nans = mr_thrift_in_int(in, &field);
            break;
        default:
            mr_thrift_in_skip(in, field.type);
        }
    }
}

static void parse_column_meta(struct mr_thrift_in *in, struct mr_pq_column *column)
{
    struct mr_thrift_field field = {0};
    int64_t data = 0, dictionary = 0;
    while (mr_thrift_in_field(in, &field)) {
        switch (field.id) {
        case 1:
            column->type = (int)mr_thrift_in_int(in, &field);
            break;
        case 4:
            column->codec = (int)mr_thrift_in_int(in, &field);
            break;
        case 5:
            column->values = mr_thrift_in_int(in, &field);
            break;
        case 6:
            column->uncompressed = mr_thrift_in_int(in, &field);
            break;
        case 7:
            column->size = mr_thrift_in_int(in, &field);
            break;
        case 9:
            data = mr_thrift_in_int(in, &field);
            break;
        case 11:
            dictionary = mr_thrift_in_int(in, &field);
            break;
        case 12:
            if (mr_thrift_in_struct(in, &field))
                parse_statistics(in, &column->statistics);
            break;
        case 14:
            column->bloom_offset = mr_thrift_in_int(in, &field);
            break;
        case 15:
            column->bloom_size = mr_thrift_in_int(in, &field);
            break;
        default:
            mr_thrift_in_skip(in, field.type);
        }
    }
    /* Some writers leave 0, some point behind the data. */
    column->offset = dictionary > 0 && dictionary < data ? dictionary : data;
}

static void parse_column(struct mr_thrift_in *in, struct mr_pq_column *column)
{
    struct mr_thrift_field field = {0};
    bool meta = false;
    *column = (struct mr_pq_column){.statistics = {.nulls = -1, .nans = -1}, .bloom_size = -1};
    while (mr_thrift_in_field(in, &field)) {
        switch (field.id) {
        case 1:
            column->elsewhere = mr_thrift_in_bytes(in, &field).size > 0;
            break;
        case 3:
            meta = mr_thrift_in_struct(in, &field);
            if (meta)
                parse_column_meta(in, column);
            break;
        case 4:
            column->offset_index_offset = mr_thrift_in_int(in, &field);
            break;
        case 5:
            column->offset_index_size = mr_thrift_in_int(in, &field);
            break;
        case 6:
            column->column_index_offset = mr_thrift_in_int(in, &field);
            break;
        case 7:
            column->column_index_size = mr_thrift_in_int(in, &field);
            break;
        case 8:
        case 9:
            column->encrypted = true;
            mr_thrift_in_skip(in, field.type);
            break;
        default:
            mr_thrift_in_skip(in, field.type);
        }
    }
    if (!meta)
        column->encrypted = true;
}

static bool inside(const struct mr_pq_file *file, int64_t offset, int64_t size)
{
    return offset >= 0 && size >= 0 && offset <= file->size && size <= file->size - offset;
}

/* What points outside of the file is wrong; an index that does is only not used. */
static enum mr_status check_column(const struct mr_pq_file *file, struct mr_pq_column *column,
                                   struct mr_error *err)
{
    if (column->elsewhere || column->encrypted)
        return MR_OK;
    if (column->values < 0 || !inside(file, column->offset, column->size))
        return bad(file, "a column chunk lies outside of the file", err);
    if (!inside(file, column->column_index_offset, column->column_index_size) ||
        !inside(file, column->offset_index_offset, column->offset_index_size))
        column->column_index_size = column->offset_index_size = 0;
    return MR_OK;
}

static enum mr_status parse_columns(struct mr_thrift_in *in, const struct mr_thrift_field *field,
                                    struct mr_arena *arena, struct mr_pq_file *file,
                                    struct mr_pq_group *group, struct mr_error *err)
{
    size_t count = mr_thrift_in_list(in, field, MR_THRIFT_STRUCT);
    if (in->bad)
        return MR_OK;
    if (count != (size_t)file->nleaves)
        return bad(file, "a row group has another number of columns than the schema", err);
    group->columns = mr_arena_calloc(arena, count + 1, sizeof *group->columns);
    if (group->columns == NULL)
        return mr_error_nomem(err);
    for (size_t i = 0; i < count && !in->bad; i++) {
        struct mr_pq_column *column = &group->columns[i];
        parse_column(in, column);
        if (!in->bad)
            MR_TRY(check_column(file, column, err));
        if (i == 0 || column->offset < group->offset)
            group->offset = column->offset;
    }
    return MR_OK;
}

static enum mr_status parse_group(struct mr_thrift_in *in, struct mr_arena *arena,
                                  struct mr_pq_file *file, struct mr_pq_group *group,
                                  struct mr_error *err)
{
    struct mr_thrift_field field = {0};
    while (mr_thrift_in_field(in, &field)) {
        if (field.id == 1)
            MR_TRY(parse_columns(in, &field, arena, file, group, err));
        else if (field.id == 3)
            group->rows = mr_thrift_in_int(in, &field);
        else
            mr_thrift_in_skip(in, field.type);
    }
    if (in->bad)
        return MR_OK;
    if (group->rows < 0 || group->rows > INT64_MAX - file->rows)
        return bad(file, "a row group has an impossible number of rows", err);
    if (group->columns == NULL && file->nleaves > 0)
        return bad(file, "a row group has no columns", err);
    group->first_row = file->rows;
    file->rows += group->rows;
    return MR_OK;
}

static enum mr_status parse_groups(struct mr_thrift_in *in, const struct mr_thrift_field *field,
                                   struct mr_arena *arena, struct mr_pq_file *file,
                                   struct mr_error *err)
{
    size_t count = mr_thrift_in_list(in, field, MR_THRIFT_STRUCT);
    if (file->elements == NULL)
        return bad(file, "its row groups come before its schema", err);
    file->groups = mr_arena_calloc(arena, count + 1, sizeof *file->groups);
    if (file->groups == NULL)
        return mr_error_nomem(err);
    for (size_t i = 0; i < count && !in->bad; i++)
        MR_TRY(parse_group(in, arena, file, &file->groups[i], err));
    file->ngroups = (int)count;
    return MR_OK;
}

static enum mr_status parse_orders(struct mr_thrift_in *in, const struct mr_thrift_field *field,
                                   struct mr_arena *arena, struct mr_pq_file *file,
                                   struct mr_error *err)
{
    size_t count = mr_thrift_in_list(in, field, MR_THRIFT_STRUCT);
    uint8_t *orders = mr_arena_calloc(arena, count + 1, 1);
    if (orders == NULL)
        return mr_error_nomem(err);
    for (size_t i = 0; i < count && !in->bad; i++) {
        struct mr_thrift_field order = {0};
        orders[i] = 2;
        while (mr_thrift_in_field(in, &order)) {
            orders[i] = order.id == 1 ? 1 : 2;
            mr_thrift_in_skip(in, order.type);
        }
    }
    file->orders = orders;
    file->norders = (int)count;
    return MR_OK;
}

enum mr_status mr_pq_file_parse(const void *data, size_t size, struct mr_arena *arena,
                                struct mr_pq_file *file, struct mr_error *err)
{
    struct mr_thrift_in in;
    struct mr_thrift_field field = {0};
    bool encrypted = false;
    mr_thrift_in_init(&in, data, size);
    file->created_by = "";
    while (mr_thrift_in_field(&in, &field)) {
        switch (field.id) {
        case 2:
            MR_TRY(parse_elements(&in, &field, arena, file, err));
            break;
        case 4:
            MR_TRY(parse_groups(&in, &field, arena, file, err));
            break;
        case 6:
            file->created_by = keep_text(arena, mr_thrift_in_bytes(&in, &field));
            if (file->created_by == NULL)
                return mr_error_nomem(err);
            break;
        case 7:
            MR_TRY(parse_orders(&in, &field, arena, file, err));
            break;
        case 8:
            encrypted = true;
            mr_thrift_in_skip(&in, field.type);
            break;
        default:
            mr_thrift_in_skip(&in, field.type);
        }
    }
    if (in.bad)
        return bad(file, "its footer is damaged", err);
    if (encrypted)
        return mr_error_data(err, MR_SOURCE, "%s: encrypted Parquet files cannot be read",
                             file->name);
    if (file->nelements == 0)
        return bad(file, "its footer has no schema", err);
    return MR_OK;
}

/* ---- finding it ---- */

static enum mr_status check_tail(const struct mr_pq_file *file, const uint8_t *tail, size_t size,
                                 int64_t *footer, struct mr_error *err)
{
    if (size >= 4 && memcmp(tail + size - 4, "PARE", 4) == 0)
        return mr_error_data(err, MR_SOURCE, "%s: encrypted Parquet files cannot be read",
                             file->name);
    if (size < 12 || memcmp(tail + size - 4, "PAR1", 4) != 0)
        return bad(file, "it does not end in PAR1 (another format, or cut off)", err);
    uint32_t length;
    memcpy(&length, tail + size - 8, 4);
    if (length > FOOTER_MAX)
        return bad(file, "its footer would be over 256 MiB", err);
    if ((int64_t)length > file->size - 12)
        return bad(file, "its footer is longer than the file (cut off)", err);
    *footer = length;
    return MR_OK;
}

enum mr_status mr_pq_file_read(struct mr_byte_source *source, struct mr_arena *arena,
                               struct mr_pq_file *file, struct mr_error *err)
{
    *file = (struct mr_pq_file){.name = source->name, .size = source->size};
    int64_t size = source->size / TAIL_SHARE, footer = 0;
    size = size < TAIL_LEAST ? TAIL_LEAST : size > TAIL_MOST ? TAIL_MOST : size;
    if (size > source->size)
        size = source->size;
    if (size < 12)
        return bad(file, "it is too short", err);
    uint8_t *tail = mr_arena_alloc(arena, (size_t)size);
    if (tail == NULL)
        return mr_error_nomem(err);
    MR_TRY(source->read(source, source->size - size, tail, (size_t)size, err));
    MR_TRY(check_tail(file, tail, (size_t)size, &footer, err));
    const uint8_t *start = tail + size - 8 - footer;
    if (footer + 8 > size) {
        uint8_t *whole = mr_arena_alloc(arena, (size_t)footer);
        if (whole == NULL)
            return mr_error_nomem(err);
        int64_t before = footer + 8 - size;
        MR_TRY(source->read(source, source->size - 8 - footer, whole, (size_t)before, err));
        memcpy(whole + before, tail, (size_t)(footer - before));
        start = whole;
    }
    return mr_pq_file_parse(start, (size_t)footer, arena, file, err);
}
