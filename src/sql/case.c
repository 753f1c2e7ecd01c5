/*
 * case.c - CASE and what is made of it: each branch runs for its own rows only, then the parts are put together.
 *
 * The result is assembled from the branches' columns by a source number per row. Where all branches are constant texts
 * (labels: the usual CASE) the result is a DICTIONARY of them and no text is copied.
 */
#include "col/builder.h"
#include "col/kernel.h"
#include "sql/eval.h"

/* Which part each row comes from: -1 none. */
static enum mr_status sources_of(struct mr_eval *eval, const struct mr_selected *selected,
                                 int nparts, int64_t length, struct mr_buffer **out,
                                 struct mr_error *err)
{
    MR_TRY(mr_buffer_new(eval->memory, (size_t)length * sizeof(int32_t), out, err));
    int32_t *sources = (int32_t *)(void *)(*out)->data;
    for (int64_t i = 0; i < length; i++)
        sources[i] = -1;
    for (int part = 0; part < nparts; part++) {
        const struct mr_selected *rows = &selected[part];
        for (int64_t i = 0; i < rows->count; i++)
            sources[rows->rows ? rows->rows[i] : i] = part;
    }
    return MR_OK;
}

/* Validity over the parts; NULL parts and rows of none are cleared. */
static enum mr_status merged_validity(struct mr_eval *eval, struct mr_column *const *parts,
                                      const int32_t *sources, int64_t length,
                                      struct mr_buffer **out, int64_t *nulls, struct mr_error *err)
{
    size_t size = mr_bitmap_bytes(length);
    MR_TRY(mr_buffer_new(eval->memory, size, out, err));
    memset((*out)->data, 0, size);
    int64_t valid = 0;
    for (int64_t i = 0; i < length; i++) {
        bool set = sources[i] >= 0 && !mr_column_is_null(parts[sources[i]], i);
        (*out)->data[i >> 3] |= (uint8_t)(set << (i & 7));
        valid += set;
    }
    *nulls = length - valid;
    mr_buffer_finish(*out, size);
    if (*nulls == 0) {
        mr_buffer_unref(*out);
        *out = NULL;
    }
    return MR_OK;
}

#define COPY_ROWS(ctype)                                                                           \
    for (int64_t i = 0; i < selected->count; i++) {                                                \
        int64_t row = selected->rows ? selected->rows[i] : i;                                      \
        ((ctype *)out)[row] = ((const ctype *)arg.values)[row & arg.mask];                         \
    }

/* The selected rows of one part to their places. */
static void copy_part(const struct mr_column *part, const struct mr_selected *selected, int width,
                      void *out)
{
    struct mr_arg arg = mr_arg_of_column(part);
    switch (width) {
    case 1:
        COPY_ROWS(uint8_t)
        break;
    case 2:
        COPY_ROWS(uint16_t)
        break;
    case 4:
        COPY_ROWS(uint32_t)
        break;
    case 8:
        COPY_ROWS(uint64_t)
        break;
    default:
        COPY_ROWS(mr_int128)
        break;
    }
}

static void copy_fixed(struct mr_column *const *parts, const struct mr_selected *selected,
                       int nparts, size_t width, uint8_t *out)
{
    for (int part = 0; part < nparts; part++) {
        if (parts[part]->values != NULL)
            copy_part(parts[part], &selected[part], (int)width, out);
    }
}

static enum mr_status merge_fixed(struct mr_eval *eval, const struct mr_type *type,
                                  struct mr_column *const *parts,
                                  const struct mr_selected *selected, int nparts,
                                  const int32_t *sources, struct mr_column **out,
                                  struct mr_error *err)
{
    int64_t length = eval->batch->rows, nulls = 0;
    size_t width = (size_t)mr_layout_width(mr_type_layout(type));
    struct mr_buffer *values, *validity = NULL;
    if (sources != NULL)
        MR_TRY(merged_validity(eval, parts, sources, length, &validity, &nulls, err));
    enum mr_status status = mr_buffer_new(eval->memory, (size_t)length * width, &values, err);
    if (status != MR_OK) {
        mr_buffer_unref(validity);
        return status;
    }
    memset(values->data, 0, (size_t)length * width);
    copy_fixed(parts, selected, nparts, width, values->data);
    mr_buffer_finish(values, (size_t)length * width);
    return mr_column_new(type, length, nulls, validity, values, NULL, out, err);
}

/* All parts constant texts: a dictionary of them, the sources are nearly the codes. */
static enum mr_status merge_labels(struct mr_eval *eval, const struct mr_type *type,
                                   struct mr_column *const *parts, int nparts,
                                   const int32_t *sources, struct mr_column **out,
                                   struct mr_error *err)
{
    int64_t length = eval->batch->rows, nulls;
    struct mr_builder builder;
    struct mr_column *dictionary = NULL;
    struct mr_buffer *validity = NULL, *codes = NULL;
    MR_TRY(mr_builder_init(&builder, eval->memory, type, err));
    enum mr_status status = MR_OK;
    for (int part = 0; part < nparts; part++) {
        struct mr_slice text = {"", 0};
        if (!mr_column_is_null(parts[part], 0))
            text = mr_column_slice(parts[part], 0);
        MR_TRY_OUT(mr_builder_bytes(&builder, text.data, text.size, err));
    }
    MR_TRY_OUT(mr_builder_finish(&builder, &dictionary, err));
    MR_TRY_OUT(merged_validity(eval, parts, sources, length, &validity, &nulls, err));
    MR_TRY_OUT(mr_buffer_new(eval->memory, (size_t)length * sizeof(int32_t), &codes, err));
    int32_t *to = (int32_t *)(void *)codes->data;
    for (int64_t i = 0; i < length; i++)
        to[i] = sources[i] < 0 ? 0 : sources[i];
    mr_buffer_finish(codes, (size_t)length * sizeof(int32_t));
    mr_builder_reset(&builder);
    return mr_column_new_dictionary(dictionary, length, nulls, validity, codes, out, err);
out:
    mr_builder_reset(&builder);
    mr_column_unref(dictionary);
    mr_buffer_unref(validity);
    return status;
}

static enum mr_status merge_bytes(struct mr_eval *eval, const struct mr_type *type,
                                  struct mr_column *const *parts, const int32_t *sources,
                                  struct mr_column **out, struct mr_error *err)
{
    struct mr_builder builder;
    MR_TRY(mr_builder_init(&builder, eval->memory, type, err));
    enum mr_status status = mr_builder_reserve(&builder, eval->batch->rows, 0, err);
    for (int64_t i = 0; i < eval->batch->rows && status == MR_OK; i++) {
        const struct mr_column *part = sources[i] < 0 ? NULL : parts[sources[i]];
        if (part == NULL || mr_column_is_null(part, i)) {
            status = mr_builder_null(&builder, err);
            continue;
        }
        struct mr_slice text = mr_column_slice(part, part->encoding == MR_CONSTANT ? 0 : i);
        status = mr_builder_bytes(&builder, text.data, text.size, err);
    }
    if (status == MR_OK)
        status = mr_builder_finish(&builder, out, err);
    mr_builder_reset(&builder);
    return status;
}

/* Lists, structs, maps: all parts one behind the other, then the right row of each. */
static enum mr_status merge_nested(struct mr_eval *eval, struct mr_column *const *parts, int nparts,
                                   const int32_t *sources, struct mr_column **out,
                                   struct mr_error *err)
{
    int64_t length = eval->batch->rows;
    struct mr_column *all = NULL;
    struct mr_buffer *buffer = NULL;
    enum mr_status status;
    MR_TRY_OUT(mr_column_concat(eval->memory, parts, nparts, &all, err));
    MR_TRY_OUT(mr_buffer_new(eval->memory, (size_t)length * sizeof(int32_t), &buffer, err));
    int32_t *rows = (int32_t *)(void *)buffer->data;
    for (int64_t i = 0; i < length; i++)
        rows[i] = sources[i] < 0 ? -1 : (int32_t)(sources[i] * length + i);
    status = mr_column_take(eval->memory, all, rows, length, out, err);
out:
    mr_buffer_unref(buffer);
    mr_column_unref(all);
    return status;
}

static enum mr_status merge_flat(struct mr_eval *eval, const struct mr_type *type,
                                 struct mr_column *const *parts, const struct mr_selected *selected,
                                 int nparts, struct mr_column **out, struct mr_error *err)
{
    struct mr_buffer *buffer = NULL;
    const int32_t *sources = NULL;
    enum mr_layout layout = mr_type_layout(type);
    int constants = 0;
    bool nulls = false;
    for (int i = 0; i < nparts; i++) {
        constants += parts[i]->encoding == MR_CONSTANT;
        nulls |= parts[i]->nulls > 0;
    }
    /* Rows of no part are NULL only where the last part is: those that nobody selected have no meaning. */
    if (nulls || layout >= MR_LAYOUT_BYTES) {
        MR_TRY(sources_of(eval, selected, nparts, eval->batch->rows, &buffer, err));
        sources = (const int32_t *)(const void *)buffer->data;
    }
    enum mr_status status;
    if (layout == MR_LAYOUT_NONE) {
        struct mr_value null = {.type = type, .is_null = true};
        status = mr_column_new_constant(eval->memory, type, &null, eval->batch->rows, out, err);
    } else if (layout < MR_LAYOUT_BYTES) {
        status = merge_fixed(eval, type, parts, selected, nparts, sources, out, err);
    } else if (layout > MR_LAYOUT_BYTES) {
        status = merge_nested(eval, parts, nparts, sources, out, err);
    } else if (constants == nparts) {
        status = merge_labels(eval, type, parts, nparts, sources, out, err);
    } else {
        status = merge_bytes(eval, type, parts, sources, out, err);
    }
    mr_buffer_unref(buffer);
    return status;
}

enum mr_status mr_eval_merge(struct mr_eval *eval, const struct mr_type *type,
                             struct mr_column *const *parts, const struct mr_selected *selected,
                             int nparts, struct mr_column **out, struct mr_error *err)
{
    struct mr_column **flat = mr_calloc((size_t)nparts + 1, sizeof(*flat));
    if (flat == NULL)
        return mr_error_nomem(err);
    enum mr_status status = MR_OK;
    for (int i = 0; i < nparts && status == MR_OK; i++) {
        if (parts[i]->encoding == MR_DICTIONARY)
            status = mr_column_flatten(eval->memory, parts[i], &flat[i], err);
        else
            flat[i] = mr_column_ref(parts[i]);
    }
    if (status == MR_OK)
        status = merge_flat(eval, type, flat, selected, nparts, out, err);
    for (int i = 0; i < nparts; i++)
        mr_column_unref(flat[i]);
    mr_free(flat);
    return status;
}

/* The work of one CASE: branches taken so far, and the rows that none has taken. */
struct branches {
    struct mr_column **parts;
    struct mr_selected *selected;
    struct mr_buffer **buffers; /* row lists of the parts, and of what is left (two a branch) */
    int nparts;
    int nbuffers;
    struct mr_selected rest;
};

static enum mr_status open_branches(struct branches *branches, int count, struct mr_error *err)
{
    size_t n = (size_t)count + 1;
    branches->parts = mr_calloc(n, sizeof(*branches->parts));
    branches->selected = mr_calloc(n, sizeof(*branches->selected));
    branches->buffers = mr_calloc(n * 2, sizeof(*branches->buffers));
    if (!branches->parts || !branches->selected || !branches->buffers)
        return mr_error_nomem(err);
    return MR_OK;
}

static void close_branches(struct branches *branches)
{
    for (int i = 0; i < branches->nparts; i++)
        mr_column_unref(branches->parts[i]);
    for (int i = 0; i < branches->nbuffers; i++)
        mr_buffer_unref(branches->buffers[i]);
    mr_free(branches->parts);
    mr_free(branches->selected);
    mr_free(branches->buffers);
}

static enum mr_status take_branch(struct mr_eval *eval, struct branches *branches,
                                  const struct mr_node *result, struct mr_selected selected,
                                  struct mr_error *err)
{
    if (selected.count == 0)
        return MR_OK;
    MR_TRY(mr_eval_node(eval, result, &selected, &branches->parts[branches->nparts], err));
    branches->selected[branches->nparts++] = selected;
    return MR_OK;
}

static enum mr_status run_when(struct mr_eval *eval, struct branches *branches,
                               const struct mr_node *when, const struct mr_node *then,
                               struct mr_error *err)
{
    struct mr_column *condition;
    struct mr_buffer *yes, *no;
    int64_t nyes, nno;
    MR_TRY(mr_eval_node(eval, when, &branches->rest, &condition, err));
    enum mr_status status =
        mr_eval_split(eval, condition, &branches->rest, &yes, &nyes, &no, &nno, err);
    mr_column_unref(condition);
    if (status != MR_OK)
        return status;
    branches->buffers[branches->nbuffers++] = yes;
    branches->buffers[branches->nbuffers++] = no;
    struct mr_selected taken = {.rows = (const int32_t *)(const void *)yes->data, .count = nyes};
    if (nno == 0)
        taken = branches->rest;
    if (nyes > 0)
        branches->rest =
            (struct mr_selected){.rows = (const int32_t *)(const void *)no->data, .count = nno};
    return take_branch(eval, branches, then, nyes ? taken : (struct mr_selected){0}, err);
}

enum mr_status mr_eval_case(struct mr_eval *eval, const struct mr_node *node,
                            const struct mr_selected *selected, struct mr_column **out,
                            struct mr_error *err)
{
    struct branches branches = {.rest = *selected};
    enum mr_status status;
    MR_TRY_OUT(open_branches(&branches, node->nargs, err));
    for (int i = 0; i + 1 < node->nargs && branches.rest.count > 0; i += 2)
        MR_TRY_OUT(run_when(eval, &branches, node->args[i], node->args[i + 1], err));
    MR_TRY_OUT(take_branch(eval, &branches, node->args[node->nargs - 1], branches.rest, err));
    if (branches.nparts == 1)
        *out = mr_column_ref(branches.parts[0]);
    else
        status = mr_eval_merge(eval, node->type, branches.parts, branches.selected, branches.nparts,
                               out, err);
out:
    close_branches(&branches);
    return status;
}
