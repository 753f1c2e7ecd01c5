/*
 * shred.c - levels and values of one leaf.
 *
 * A leaf's path is walked one step at a time over all rows of the batch: three parallel arrays hold, per level, the row in
 * the column reached so far (or -1 where a NULL or an empty list ended the path), the definition level and the repetition
 * level. A list step writes longer arrays, every other step works in place, so the code knows neither recursion nor the shape of
 * the type. Walking row by row down the tree, as the paper does, costs a call per value and level. Encoded columns are
 * resolved on the way: a constant's row is 0, a dictionary's is its code.
 *
 * [[1, 2], NULL, []] as list<int>: rows 0 1 2 -> (child rows 0 1 -1 -1, def 3 3 0 1, rep 0 1 0 0).
 *
 * A flat column takes a short way: without NULLs nothing is built at all.
 */
#include "format/parquet/shred.h"

#include <stdio.h>
#include <string.h>

void mr_pq_scratch_reset(struct mr_pq_scratch *scratch)
{
    struct mr_buffer **all[] = {&scratch->rows[0], &scratch->rows[1], &scratch->def[0],
                                &scratch->def[1],  &scratch->rep[0],  &scratch->rep[1],
                                &scratch->values,  &scratch->ends,    &scratch->ids,
                                &scratch->body,    &scratch->packed};
    for (size_t i = 0; i < sizeof all / sizeof *all; i++) {
        mr_buffer_unref(*all[i]);
        *all[i] = NULL;
    }
}

enum mr_status mr_pq_scratch_room(struct mr_pq_scratch *scratch, struct mr_buffer **buffer,
                                  size_t bytes, struct mr_error *err)
{
    if (*buffer != NULL && (*buffer)->capacity >= bytes)
        return MR_OK;
    size_t old = *buffer ? (*buffer)->capacity : 0;
    mr_buffer_unref(*buffer);
    *buffer = NULL;
    if (bytes < old + old / 2)
        bytes = old + old / 2;
    return mr_buffer_new(scratch->memory, bytes, buffer, err);
}

static enum mr_status null_refused(const struct mr_pq_leaf *leaf, struct mr_error *err)
{
    char name[256];
    size_t at = 0;
    for (int i = 0; i < leaf->npath && at < sizeof name; i++)
        at +=
            (size_t)snprintf(name + at, sizeof name - at, "%s%s", i > 0 ? "." : "", leaf->path[i]);
    return mr_error_data(err, MR_SINK, "column %s may not be NULL and has a NULL", name);
}

static const int32_t *codes_of(const struct mr_column *column)
{
    return (const int32_t *)(const void *)column->values->data;
}

static int32_t *int32s(struct mr_buffer *buffer)
{
    return (int32_t *)(void *)buffer->data;
}

static bool is_valid(const struct mr_column *column, int64_t row)
{
    return mr_bitmap_get(mr_column_validity(column), row);
}

static bool has_nulls(const struct mr_column *column)
{
    return column->type->id == MR_TYPE_NULL || column->validity != NULL;
}

/* Definition bytes and the numbers of the valid rows of a flat column with a validity bitmap. */
static void split_nulls(const struct mr_column *column, int64_t from, int64_t count, uint8_t *def,
                        int32_t *rows, int64_t *values)
{
    const uint8_t *bits = mr_column_validity(column);
    int64_t n = 0;
    for (int64_t i = 0; i < count; i++) {
        int64_t row = from + i;
        uint8_t valid = (bits[row >> 3] >> (row & 7)) & 1;
        def[i] = valid;
        rows[n] = (int32_t)row;
        n += valid;
    }
    *values = n;
}

static enum mr_status zeros(struct mr_pq_scratch *scratch, int64_t count, const int32_t **out,
                            struct mr_error *err)
{
    size_t bytes = (size_t)count * sizeof(int32_t);
    MR_TRY(mr_pq_scratch_room(scratch, &scratch->rows[0], bytes + 1, err));
    memset(scratch->rows[0]->data, 0, bytes);
    *out = int32s(scratch->rows[0]);
    return MR_OK;
}

/* A flat column that is NULL in every row: the NULL type, or a NULL constant. */
static enum mr_status shred_nothing(struct mr_pq_scratch *scratch, int64_t count,
                                    struct mr_pq_shred *out, struct mr_error *err)
{
    MR_TRY(mr_pq_scratch_room(scratch, &scratch->def[0], (size_t)count + 1, err));
    memset(scratch->def[0]->data, 0, (size_t)count);
    out->def = scratch->def[0]->data;
    out->values = 0;
    return MR_OK;
}

static enum mr_status shred_flat(struct mr_pq_scratch *scratch, const struct mr_pq_leaf *leaf,
                                 const struct mr_column *column, int64_t from, int64_t count,
                                 struct mr_pq_shred *out, struct mr_error *err)
{
    bool constant = column->encoding == MR_CONSTANT;
    bool coded = column->encoding == MR_DICTIONARY;
    out->levels = out->values = count;
    out->column = coded ? column->dictionary : column;
    out->coded = coded || constant;
    if (column->type->id == MR_TYPE_NULL || (constant && !is_valid(column, 0))) {
        if (!leaf->steps[0].optional)
            return null_refused(leaf, err);
        return shred_nothing(scratch, count, out, err);
    }
    if (constant)
        return zeros(scratch, count, &out->index, err);
    if (column->validity == NULL || column->nulls == 0) {
        out->index = coded ? codes_of(column) + from : NULL;
        out->first = from;
        return MR_OK;
    }
    MR_TRY(mr_pq_scratch_room(scratch, &scratch->def[0], (size_t)count + 1, err));
    MR_TRY(mr_pq_scratch_room(scratch, &scratch->rows[0], ((size_t)count + 1) * 4, err));
    int32_t *rows = int32s(scratch->rows[0]);
    split_nulls(column, from, count, scratch->def[0]->data, rows, &out->values);
    if (out->values < count && !leaf->steps[0].optional)
        return null_refused(leaf, err);
    for (int64_t i = 0; coded && i < out->values; i++)
        rows[i] = codes_of(column)[rows[i]];
    out->def = leaf->steps[0].optional ? scratch->def[0]->data : NULL;
    out->index = rows;
    return MR_OK;
}

/* The state of the walk: arrays of `count` levels in scratch slot `slot`. */
struct walk {
    struct mr_pq_scratch *scratch;
    const struct mr_pq_leaf *leaf;
    const struct mr_column *column;
    int64_t count;
    int slot;
    uint8_t rep; /* lists entered so far */
    bool coded;
};

static enum mr_status walk_room(struct walk *walk, int slot, int64_t count, struct mr_error *err)
{
    struct mr_pq_scratch *scratch = walk->scratch;
    size_t n = (size_t)count + 1;
    MR_TRY(mr_pq_scratch_room(scratch, &scratch->rows[slot], n * sizeof(int32_t), err));
    MR_TRY(mr_pq_scratch_room(scratch, &scratch->def[slot], n, err));
    return mr_pq_scratch_room(scratch, &scratch->rep[slot], n, err);
}

static enum mr_status walk_start(struct walk *walk, int64_t from, int64_t count,
                                 struct mr_error *err)
{
    MR_TRY(walk_room(walk, 0, count, err));
    int32_t *rows = int32s(walk->scratch->rows[0]);
    for (int64_t i = 0; i < count; i++)
        rows[i] = (int32_t)(from + i);
    memset(walk->scratch->def[0]->data, 0, (size_t)count);
    memset(walk->scratch->rep[0]->data, 0, (size_t)count);
    walk->count = count;
    return MR_OK;
}

/* NULLs end their path; what is left gets one definition level more. */
static enum mr_status walk_nulls(struct walk *walk, bool optional, struct mr_error *err)
{
    int32_t *rows = int32s(walk->scratch->rows[walk->slot]);
    uint8_t *def = walk->scratch->def[walk->slot]->data;
    bool nulls = has_nulls(walk->column);
    for (int64_t i = 0; i < walk->count; i++) {
        if (rows[i] < 0)
            continue;
        if (nulls && mr_column_is_null(walk->column, rows[i])) {
            if (!optional)
                return null_refused(walk->leaf, err);
            rows[i] = -1;
        } else {
            def[i] += optional;
        }
    }
    return MR_OK;
}

/* From rows of an encoded column to rows of its storage. */
static void walk_decode(struct walk *walk)
{
    int32_t *rows = int32s(walk->scratch->rows[walk->slot]);
    walk->coded = walk->column->encoding != MR_FLAT;
    if (walk->column->encoding == MR_CONSTANT) {
        for (int64_t i = 0; i < walk->count; i++)
            rows[i] = rows[i] < 0 ? -1 : 0;
    } else if (walk->column->encoding == MR_DICTIONARY) {
        const int32_t *codes = codes_of(walk->column);
        for (int64_t i = 0; i < walk->count; i++)
            rows[i] = rows[i] < 0 ? -1 : codes[rows[i]];
        walk->column = walk->column->dictionary;
    }
}

static enum mr_status walk_repeat(struct walk *walk, struct mr_error *err)
{
    const int32_t *offsets = mr_column_offsets(walk->column);
    const int32_t *rows = int32s(walk->scratch->rows[walk->slot]);
    int64_t total = 0;
    for (int64_t i = 0; i < walk->count; i++) {
        int32_t n = rows[i] < 0 ? 0 : offsets[rows[i] + 1] - offsets[rows[i]];
        total += n > 0 ? n : 1;
    }
    MR_TRY(walk_room(walk, !walk->slot, total, err));
    const uint8_t *def = walk->scratch->def[walk->slot]->data;
    const uint8_t *rep = walk->scratch->rep[walk->slot]->data;
    walk->slot = !walk->slot;
    int32_t *to = int32s(walk->scratch->rows[walk->slot]);
    uint8_t *to_def = walk->scratch->def[walk->slot]->data;
    uint8_t *to_rep = walk->scratch->rep[walk->slot]->data;
    uint8_t level = ++walk->rep;
    int64_t n = 0;
    for (int64_t i = 0; i < walk->count; i++) {
        int32_t begin = rows[i] < 0 ? 0 : offsets[rows[i]];
        int32_t end = rows[i] < 0 ? 0 : offsets[rows[i] + 1];
        if (begin == end) {
            to[n] = -1;
            to_def[n] = def[i];
            to_rep[n++] = rep[i];
        }
        for (int32_t k = begin; k < end; k++) {
            to[n] = k;
            to_def[n] = (uint8_t)(def[i] + 1);
            to_rep[n++] = k == begin ? rep[i] : level;
        }
    }
    walk->count = n;
    walk->column = walk->column->children[0];
    return MR_OK;
}

static enum mr_status shred_nested(struct mr_pq_scratch *scratch, const struct mr_pq_leaf *leaf,
                                   const struct mr_column *column, int64_t from, int64_t count,
                                   struct mr_pq_shred *out, struct mr_error *err)
{
    struct walk walk = {.scratch = scratch, .leaf = leaf, .column = column};
    MR_TRY(walk_start(&walk, from, count, err));
    for (int i = 0; i < leaf->nsteps; i++) {
        const struct mr_pq_step *step = &leaf->steps[i];
        MR_TRY(walk_nulls(&walk, step->optional, err));
        walk_decode(&walk);
        if (step->kind == MR_PQ_STEP_CHILD)
            walk.column = walk.column->children[step->child];
        else if (step->kind == MR_PQ_STEP_REPEAT)
            MR_TRY(walk_repeat(&walk, err));
    }
    int32_t *rows = int32s(scratch->rows[walk.slot]);
    int64_t n = 0;
    for (int64_t i = 0; i < walk.count; i++) {
        int32_t row = rows[i];
        rows[n] = row;
        n += row >= 0;
    }
    out->levels = walk.count;
    out->def = scratch->def[walk.slot]->data;
    out->rep = leaf->max_rep > 0 ? scratch->rep[walk.slot]->data : NULL;
    out->values = n;
    out->index = rows;
    out->column = walk.column;
    out->coded = walk.coded;
    return MR_OK;
}

enum mr_status mr_pq_shred_column(struct mr_pq_scratch *scratch, const struct mr_pq_leaf *leaf,
                                  const struct mr_column *column, int64_t from, int64_t count,
                                  struct mr_pq_shred *out, struct mr_error *err)
{
    *out = (struct mr_pq_shred){.rows = count};
    if (leaf->nsteps == 1)
        return shred_flat(scratch, leaf, column, from, count, out, err);
    return shred_nested(scratch, leaf, column, from, count, out, err);
}

/* A 16-byte value; imported columns are aligned to 8 bytes only. */
struct two_words {
    uint64_t words[2];
};

/* dst[i] = src[row i]; the rows are an index or consecutive. */
#define GATHER(TO, FROM)                                                                           \
    do {                                                                                           \
        TO *to = (TO *)(void *)dst;                                                                \
        const FROM *src = (const FROM *)(const void *)values;                                      \
        if (index != NULL)                                                                         \
            for (int64_t i = 0; i < count; i++)                                                    \
                to[i] = src[index[i]];                                                             \
        else                                                                                       \
            for (int64_t i = 0; i < count; i++)                                                    \
                to[i] = src[first + i];                                                            \
    } while (0)

/* Decimals of at most nine digits lie in int64. */
static bool narrow(int32_t *to, const int64_t *values, const int32_t *index, int64_t first,
                   int64_t count)
{
    int64_t lost = 0;
    for (int64_t i = 0; i < count; i++) {
        int64_t value = values[index ? index[i] : first + i];
        to[i] = (int32_t)value;
        lost |= value ^ to[i];
    }
    return lost == 0;
}

static enum mr_status gather_fixed(const struct mr_pq_leaf *leaf, const struct mr_column *column,
                                   const int32_t *index, int64_t first, int64_t count, uint8_t *dst,
                                   struct mr_error *err)
{
    const uint8_t *values = column->values->data;
    switch (leaf->source) {
    case MR_PQ_FROM_I8:
        GATHER(int32_t, int8_t);
        return MR_OK;
    case MR_PQ_FROM_I16:
        GATHER(int32_t, int16_t);
        return MR_OK;
    case MR_PQ_FROM_I64:
        if (!narrow((int32_t *)(void *)dst, (const int64_t *)(const void *)values, index, first,
                    count))
            return mr_error_data(err, MR_SINK, "column %s has a value of more than %d digits",
                                 leaf->path[0], leaf->type->precision);
        return MR_OK;
    case MR_PQ_FROM_PART4:
    case MR_PQ_FROM_PART8:
        for (int64_t i = 0; i < count; i++)
            memcpy(dst + i * leaf->value, values + (index ? index[i] : first + i) * 16 + leaf->part,
                   (size_t)leaf->value);
        return MR_OK;
    default:
        break;
    }
    if (leaf->value == 1)
        GATHER(uint8_t, uint8_t);
    else if (leaf->value == 4)
        GATHER(uint32_t, uint32_t);
    else if (leaf->value == 8)
        GATHER(uint64_t, uint64_t);
    else
        GATHER(struct two_words, struct two_words);
    return MR_OK;
}

static enum mr_status gather_bytes(struct mr_pq_scratch *scratch, const struct mr_pq_shred *shred,
                                   int64_t from, int64_t count, struct mr_pq_dense *out,
                                   struct mr_error *err)
{
    const struct mr_column *column = shred->column;
    const int32_t *offsets = mr_column_offsets(column);
    out->data = column->data ? column->data->data : (const uint8_t *)"";
    out->limit = column->data ? column->data->size : 0;
    if (shred->index == NULL) {
        out->starts = offsets + shred->first + from;
        out->ends = out->starts + 1;
        return MR_OK;
    }
    size_t bytes = (size_t)count * sizeof(int32_t) + 1;
    MR_TRY(mr_pq_scratch_room(scratch, &scratch->values, bytes, err));
    MR_TRY(mr_pq_scratch_room(scratch, &scratch->ends, bytes, err));
    int32_t *starts = int32s(scratch->values), *ends = int32s(scratch->ends);
    for (int64_t i = 0; i < count; i++) {
        int32_t row = shred->index[from + i];
        starts[i] = offsets[row];
        ends[i] = offsets[row + 1];
    }
    out->starts = starts;
    out->ends = ends;
    return MR_OK;
}

enum mr_status mr_pq_gather(struct mr_pq_scratch *scratch, const struct mr_pq_leaf *leaf,
                            const struct mr_pq_shred *shred, int64_t from, int64_t count,
                            struct mr_pq_dense *out, struct mr_error *err)
{
    *out = (struct mr_pq_dense){.count = count};
    if (leaf->source == MR_PQ_FROM_BYTES)
        return gather_bytes(scratch, shred, from, count, out, err);
    size_t width = (size_t)leaf->value;
    out->limit = (size_t)count * width;
    if (shred->index == NULL && leaf->source == MR_PQ_FROM_SAME) {
        out->data = shred->column->values->data + (size_t)(shred->first + from) * width;
        return MR_OK;
    }
    MR_TRY(mr_pq_scratch_room(scratch, &scratch->values, out->limit + 1, err));
    out->data = scratch->values->data;
    return gather_fixed(leaf, shred->column, shred->index ? shred->index + from : NULL,
                        shred->first + from, count, scratch->values->data, err);
}
