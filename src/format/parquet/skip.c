/*
 * skip.c - what the statistics of a file are worth, and asking them.
 *
 * Bounds are taken through the same conversion as values, so that they are of the type of the wanted column. They are
 * believed only where their order is known: min_value and max_value under TYPE_ORDER; the older min and max, which were
 * compared as signed whatever the type, for signed numbers alone (PARQUET-251, 297 and 686 are about all others). Times of
 * 96 bits have none. NaN and bounds that contradict each other are no bounds (PARQUET-1222; decimals compared unsigned).
 *
 * Pages of different columns end at different rows, so the conditions are asked for every stretch between two ends, each
 * column answering with its page there.
 */
#include "format/parquet/skip.h"

#include "format/parquet/thrift_read.h"

#define INDEX_MAX ((int64_t)64 << 20)

/* ---- one column's bounds ---- */

/* A bound as a value of the column; false: it says nothing. */
static bool to_value(const struct mr_pq_wanted_leaf *leaf, struct mr_slice bytes,
                     struct mr_value *out)
{
    const struct mr_pq_convert *convert = &leaf->convert;
    _Alignas(16) uint8_t raw[16];
    int64_t bad;
    *out = (struct mr_value){.type = leaf->type};
    if (bytes.data == NULL)
        return false;
    if (convert->to == MR_LAYOUT_BYTES) {
        out->u.bytes = bytes;
        return true;
    }
    if (convert->width == 0
            ? !mr_pq_convert_bytes(convert, (const uint8_t *)bytes.data, bytes.size, raw)
            : bytes.size != (size_t)convert->width ||
                  !mr_pq_convert_fixed(convert, (const uint8_t *)bytes.data, 1, raw, &bad))
        return false;
    mr_int128 wide;
    float narrow;
    switch (convert->to) {
    case MR_LAYOUT_I8:
        out->u.i64 = (int8_t)raw[0];
        return true;
    case MR_LAYOUT_I16:
        out->u.i64 = (int16_t)(raw[0] | raw[1] << 8);
        return true;
    case MR_LAYOUT_F32:
        memcpy(&narrow, raw, 4);
        out->u.f64 = (double)narrow;
        return narrow == narrow;
    case MR_LAYOUT_F64:
        memcpy(&out->u.f64, raw, 8);
        return out->u.f64 == out->u.f64;
    case MR_LAYOUT_FIXED16:
        memcpy(out->u.uuid, raw, 16);
        return leaf->type->id == MR_TYPE_UUID;
    case MR_LAYOUT_I128:
        memcpy(&wide, raw, 16);
        out->u.i128 = wide;
        return true;
    default:
        break;
    }
    int32_t i32;
    int64_t i64;
    memcpy(&i32, raw, 4);
    memcpy(&i64, raw, 8);
    i64 = convert->to == MR_LAYOUT_I32 ? i32 : i64;
    if (leaf->type->id == MR_TYPE_DECIMAL)
        out->u.i128 = i64;
    else
        out->u.i64 = i64;
    return true;
}

static void set_bounds(const struct mr_pq_wanted_leaf *leaf, struct mr_slice minimum,
                       struct mr_slice maximum, struct mr_part_column *out)
{
    out->has_minimum = to_value(leaf, minimum, &out->minimum);
    out->has_maximum = to_value(leaf, maximum, &out->maximum);
    if (out->has_minimum && out->has_maximum && mr_value_compare(&out->minimum, &out->maximum) > 0)
        out->has_minimum = out->has_maximum = false;
}

static bool is_float(const struct mr_pq_wanted_leaf *leaf)
{
    enum mr_pq_from from = leaf->convert.from;
    return from == MR_PQ_IN_FLOAT || from == MR_PQ_IN_DOUBLE || from == MR_PQ_IN_FLOAT16;
}

/* Types whose signed order is their order: those that the old statistics were right for. */
static bool is_signed(const struct mr_pq_wanted_leaf *leaf)
{
    enum mr_pq_from from = leaf->convert.from;
    return from == MR_PQ_IN_INT32 || from == MR_PQ_IN_INT64 || from == MR_PQ_IN_FLOAT ||
           from == MR_PQ_IN_DOUBLE;
}

static bool has_order(const struct mr_pq_selection *selection, const struct mr_pq_wanted_leaf *leaf)
{
    const struct mr_pq_file *file = selection->file;
    return leaf->convert.from != MR_PQ_IN_INT96 && leaf->convert.from != MR_PQ_IN_INTERVAL &&
           leaf->node->leaf < file->norders && file->orders[leaf->node->leaf] == 1;
}

static void chunk_column(const struct mr_pq_selection *selection,
                         const struct mr_pq_wanted_leaf *leaf, const struct mr_pq_column *chunk,
                         struct mr_part_column *out)
{
    const struct mr_pq_statistics *statistics = &chunk->statistics;
    out->nulls = statistics->nulls <= chunk->values ? statistics->nulls : -1;
    out->may_have_nan = is_float(leaf) && statistics->nans != 0;
    if (has_order(selection, leaf) && (statistics->minimum.data || statistics->maximum.data))
        set_bounds(leaf, statistics->minimum, statistics->maximum, out);
    else if (is_signed(leaf))
        set_bounds(leaf, statistics->old_minimum, statistics->old_maximum, out);
}

/* The leaf that is column i of the schema; NULL if it is nested. *missing: the file lacks it. */
static const struct mr_pq_wanted_leaf *leaf_of(const struct mr_pq_selection *selection, int column,
                                               bool *missing)
{
    const struct mr_pq_want *want = &selection->columns[column];
    *missing = want->node == NULL;
    if (want->leaf < 0)
        return NULL;
    const struct mr_pq_wanted_leaf *leaf = &selection->leaves[want->leaf];
    *missing = leaf->convert.from == MR_PQ_IN_NOTHING;
    return leaf;
}

static void unknown(struct mr_part_column *out, int64_t rows)
{
    *out = (struct mr_part_column){.nulls = -1, .rows = rows, .may_have_nan = true};
}

/* ---- row groups ---- */

struct group_part {
    const struct mr_pq_skip *skip;
    const struct mr_pq_group *group;
};

static void group_column(void *context, int column, struct mr_part_column *out)
{
    const struct group_part *part = context;
    const struct mr_pq_selection *selection = part->skip->selection;
    bool missing;
    const struct mr_pq_wanted_leaf *leaf = leaf_of(selection, column, &missing);
    unknown(out, part->group->rows);
    if (missing)
        out->nulls = part->group->rows;
    else if (leaf != NULL)
        chunk_column(selection, leaf, &part->group->columns[leaf->node->leaf], out);
}

bool mr_pq_skip_group(const struct mr_pq_skip *skip, const struct mr_pq_group *group)
{
    struct group_part context = {skip, group};
    struct mr_prune_part part = {group_column, &context, skip->read->tz};
    return skip->read->npredicates > 0 &&
           mr_prune_all(skip->read->predicates, skip->read->npredicates, &part) == MR_PRUNE_NONE;
}

/* ---- page indexes ---- */

/* The column index of one leaf. */
struct bounds {
    int count;
    bool *empty; /* the page has only NULLs */
    struct mr_slice *minima;
    struct mr_slice *maxima;
    int64_t *nulls; /* NULL = unknown */
};

static int64_t *read_counts(struct mr_thrift_in *in, const struct mr_thrift_field *field, int count,
                            struct mr_arena *arena)
{
    size_t n = mr_thrift_in_list(in, field, MR_THRIFT_I64);
    int64_t *counts = mr_arena_calloc(arena, n + 1, sizeof *counts);
    for (size_t i = 0; i < n && counts != NULL; i++)
        counts[i] = mr_thrift_in_item_int(in);
    return (int)n == count ? counts : NULL;
}

static struct mr_slice *read_texts(struct mr_thrift_in *in, const struct mr_thrift_field *field,
                                   int count, struct mr_arena *arena)
{
    size_t n = mr_thrift_in_list(in, field, MR_THRIFT_BINARY);
    struct mr_slice *texts = mr_arena_calloc(arena, n + 1, sizeof *texts);
    for (size_t i = 0; i < n && texts != NULL; i++)
        texts[i] = mr_thrift_in_item_bytes(in);
    return (int)n == count ? texts : NULL;
}

static bool parse_bounds(const void *data, size_t size, struct mr_arena *arena, struct bounds *out)
{
    struct mr_thrift_in in;
    struct mr_thrift_field field = {0};
    mr_thrift_in_init(&in, data, size);
    *out = (struct bounds){0};
    while (mr_thrift_in_field(&in, &field)) {
        size_t n;
        switch (field.id) {
        case 1:
            n = mr_thrift_in_list(&in, &field, MR_THRIFT_TRUE);
            out->empty = mr_arena_calloc(arena, n + 1, sizeof *out->empty);
            for (size_t i = 0; i < n && out->empty != NULL; i++)
                out->empty[i] = mr_thrift_in_item_bool(&in);
            out->count = (int)n;
            break;
        case 2:
            out->minima = read_texts(&in, &field, out->count, arena);
            break;
        case 3:
            out->maxima = read_texts(&in, &field, out->count, arena);
            break;
        case 5:
            out->nulls = read_counts(&in, &field, out->count, arena);
            break;
        default:
            mr_thrift_in_skip(&in, field.type);
        }
    }
    return !in.bad && out->empty != NULL && out->minima != NULL && out->maxima != NULL;
}

/* Pages must lie one behind the other inside of their chunk, their rows ascend from 0. */
static bool check_places(const struct mr_pq_column *chunk, const struct mr_pq_places *places,
                         int64_t rows)
{
    int64_t end = chunk->offset;
    for (int i = 0; i < places->count; i++) {
        const struct mr_pq_place *place = &places->items[i];
        int64_t least = i == 0 ? 0 : places->items[i - 1].row + 1;
        if (place->offset < end || place->size <= 0 ||
            place->size > chunk->offset + chunk->size - place->offset || place->row < least ||
            place->row >= rows || (i == 0 && place->row != 0))
            return false;
        end = place->offset + place->size;
    }
    return places->count > 0;
}

static void parse_place(struct mr_thrift_in *in, struct mr_pq_place *place)
{
    struct mr_thrift_field field = {0};
    while (mr_thrift_in_field(in, &field)) {
        if (field.id == 1)
            place->offset = mr_thrift_in_int(in, &field);
        else if (field.id == 2)
            place->size = mr_thrift_in_int(in, &field);
        else if (field.id == 3)
            place->row = mr_thrift_in_int(in, &field);
        else
            mr_thrift_in_skip(in, field.type);
    }
}

static void parse_places(const void *data, size_t size, const struct mr_pq_column *chunk,
                         int64_t rows, struct mr_arena *arena, struct mr_pq_places *out)
{
    struct mr_thrift_in in;
    struct mr_thrift_field field = {0};
    mr_thrift_in_init(&in, data, size);
    *out = (struct mr_pq_places){0};
    while (mr_thrift_in_field(&in, &field)) {
        if (field.id != 1) {
            mr_thrift_in_skip(&in, field.type);
            continue;
        }
        size_t n = mr_thrift_in_list(&in, &field, MR_THRIFT_STRUCT);
        out->items = mr_arena_calloc(arena, n + 1, sizeof *out->items);
        for (size_t i = 0; i < n && out->items != NULL; i++)
            parse_place(&in, &out->items[i]);
        out->count = out->items ? (int)n : 0;
    }
    if (in.bad || !check_places(chunk, out, rows))
        out->count = 0;
}

/* ---- reading them ---- */

struct index_part {
    const struct mr_pq_skip *skip;
    const struct mr_pq_group *group;
    struct mr_arena *arena;
    struct mr_pq_places *places; /* one a leaf */
    struct bounds *bounds;       /* one a leaf; count 0 = none */
    int *page;                   /* of each leaf, in the stretch at hand */
    int64_t rows;                /* of the stretch */
};

static void mark(const struct mr_pq_selection *selection, const struct mr_predicate *predicate,
                 bool *wanted)
{
    bool missing;
    if (predicate->kind <= MR_PREDICATE_NOT) {
        for (int i = 0; i < predicate->nargs; i++)
            mark(selection, predicate->args[i], wanted);
        return;
    }
    const struct mr_pq_wanted_leaf *leaf = leaf_of(selection, predicate->column, &missing);
    if (leaf != NULL && !missing)
        wanted[leaf - selection->leaves] = true;
}

static bool add_read(const struct index_part *part, int64_t offset, int64_t size,
                     struct mr_byte_read *read)
{
    if (size <= 0 || size > INDEX_MAX)
        return false;
    *read = (struct mr_byte_read){offset, (size_t)size, mr_arena_alloc(part->arena, (size_t)size)};
    return read->out != NULL;
}

/* Reads the offset indexes of all leaves and the column indexes of those that conditions name, together. */
static enum mr_status read_indexes(struct index_part *part, const bool *wanted,
                                   struct mr_error *err)
{
    const struct mr_pq_selection *selection = part->skip->selection;
    int n = selection->nleaves, nreads = 0;
    struct mr_byte_read *reads = mr_arena_calloc(part->arena, (size_t)n * 2 + 1, sizeof *reads);
    int *of = mr_arena_calloc(part->arena, (size_t)n * 2 + 1, sizeof *of);
    if (reads == NULL || of == NULL)
        return mr_error_nomem(err);
    for (int i = 0; i < n; i++) {
        const struct mr_pq_column *chunk = &part->group->columns[selection->leaves[i].node->leaf];
        if (add_read(part, chunk->offset_index_offset, chunk->offset_index_size, &reads[nreads]))
            of[nreads++] = i * 2;
        if (wanted[i] &&
            add_read(part, chunk->column_index_offset, chunk->column_index_size, &reads[nreads]))
            of[nreads++] = i * 2 + 1;
    }
    if (nreads > 0)
        MR_TRY(part->skip->source->read_many(part->skip->source, reads, nreads, err));
    for (int r = 0; r < nreads; r++) {
        int i = of[r] / 2;
        const struct mr_pq_column *chunk = &part->group->columns[selection->leaves[i].node->leaf];
        if (of[r] % 2 == 0)
            parse_places(reads[r].out, reads[r].size, chunk, part->group->rows, part->arena,
                         &part->places[i]);
        else if (!parse_bounds(reads[r].out, reads[r].size, part->arena, &part->bounds[i]))
            part->bounds[i].count = 0;
    }
    for (int i = 0; i < n; i++)
        if (part->bounds[i].count != part->places[i].count)
            part->bounds[i].count = 0;
    return MR_OK;
}

/* ---- asking ---- */

static void page_column(void *context, int column, struct mr_part_column *out)
{
    const struct index_part *part = context;
    const struct mr_pq_selection *selection = part->skip->selection;
    bool missing;
    const struct mr_pq_wanted_leaf *leaf = leaf_of(selection, column, &missing);
    unknown(out, part->rows);
    if (missing)
        out->nulls = part->rows;
    if (missing || leaf == NULL)
        return;
    int64_t i = leaf - selection->leaves;
    const struct bounds *bounds = &part->bounds[i];
    if (bounds->count == 0) {
        chunk_column(selection, leaf, &part->group->columns[leaf->node->leaf], out);
        out->nulls = out->nulls == 0 ? 0 : -1;
        return;
    }
    int page = part->page[i];
    out->may_have_nan =
        is_float(leaf) && part->group->columns[leaf->node->leaf].statistics.nans != 0;
    if (bounds->empty[page]) {
        out->nulls = part->rows;
        return;
    }
    /* Counts are of the page, the stretch may be less of it: some NULLs is all they say. */
    out->nulls = bounds->nulls != NULL && bounds->nulls[page] == 0 ? 0 : -1;
    if (has_order(selection, leaf))
        set_bounds(leaf, bounds->minima[page], bounds->maxima[page], out);
}

/* The next row behind `row` where a page of some condition's column begins. */
static int64_t next_end(const struct index_part *part, int64_t row)
{
    int64_t end = part->group->rows;
    for (int i = 0; i < part->skip->selection->nleaves; i++) {
        const struct mr_pq_places *places = &part->places[i];
        if (part->bounds[i].count == 0)
            continue;
        while (part->page[i] + 1 < places->count && places->items[part->page[i] + 1].row <= row)
            part->page[i]++;
        if (part->page[i] + 1 < places->count && places->items[part->page[i] + 1].row < end)
            end = places->items[part->page[i] + 1].row;
    }
    return end;
}

/* Stretches that may match, those that touch joined. */
static enum mr_status ask(struct index_part *part, struct mr_pq_rows **rows, int *count,
                          struct mr_error *err)
{
    struct mr_prune_part prune = {page_column, part, part->skip->read->tz};
    size_t most = 1;
    for (int i = 0; i < part->skip->selection->nleaves; i++)
        most += (size_t)part->bounds[i].count;
    *rows = mr_arena_calloc(part->arena, most, sizeof **rows);
    if (*rows == NULL)
        return mr_error_nomem(err);
    *count = 0;
    for (int64_t row = 0, end; row < part->group->rows; row = end) {
        end = next_end(part, row);
        part->rows = end - row;
        if (mr_prune_all(part->skip->read->predicates, part->skip->read->npredicates, &prune) ==
            MR_PRUNE_NONE)
            continue;
        if (*count > 0 && (*rows)[*count - 1].to == row)
            (*rows)[*count - 1].to = end;
        else
            (*rows)[(*count)++] = (struct mr_pq_rows){row, end};
    }
    return MR_OK;
}

static enum mr_status all_rows(const struct mr_pq_group *group, struct mr_arena *arena,
                               struct mr_pq_rows **rows, int *count, struct mr_error *err)
{
    *rows = mr_arena_calloc(arena, 1, sizeof **rows);
    if (*rows == NULL)
        return mr_error_nomem(err);
    (*rows)[0] = (struct mr_pq_rows){0, group->rows};
    *count = group->rows > 0;
    return MR_OK;
}

enum mr_status mr_pq_skip_pages(const struct mr_pq_skip *skip, const struct mr_pq_group *group,
                                struct mr_arena *arena, struct mr_pq_rows **rows, int *count,
                                struct mr_pq_places **places, struct mr_error *err)
{
    size_t n = (size_t)skip->selection->nleaves + 1;
    bool *wanted = mr_arena_calloc(arena, n, sizeof *wanted), any = false;
    struct index_part part = {
        .skip = skip,
        .group = group,
        .arena = arena,
        .places = mr_arena_calloc(arena, n, sizeof *part.places),
        .bounds = mr_arena_calloc(arena, n, sizeof *part.bounds),
        .page = mr_arena_calloc(arena, n, sizeof *part.page),
    };
    *places = NULL;
    if (!wanted || !part.places || !part.bounds || !part.page)
        return mr_error_nomem(err);
    for (int i = 0; i < skip->read->npredicates; i++)
        mark(skip->selection, skip->read->predicates[i], wanted);
    for (int i = 0; i < skip->selection->nleaves; i++)
        any |= wanted[i] &&
               group->columns[skip->selection->leaves[i].node->leaf].column_index_size > 0;
    if (!any)
        return all_rows(group, arena, rows, count, err);
    MR_TRY(read_indexes(&part, wanted, err));
    MR_TRY(ask(&part, rows, count, err));
    bool whole = *count == 1 && (*rows)[0].from == 0 && (*rows)[0].to == group->rows;
    *places = whole ? NULL : part.places;
    return MR_OK;
}
